/** The `troupe` command as a process: signals, broken pipes, exit code. Called by `bin/troupe.js`. */
import process from 'node:process';
import { ExitCode } from './exit-code.js';
import { runCli } from './run-cli.js';

/** After Ctrl-C: cancelling a request and closing the connection take no longer. */
const interruptBoundMs = 500;

/** After the end of a run; by then everything of ours is closed. */
const lingerBoundMs = 500;

/** Runs the command line of this process and sets its exit code. */
export async function main(): Promise<void> {
  const ending = new AbortController();
  let exitCode: number | undefined;
  const end = (code: number) => {
    if (exitCode !== undefined) process.exit(code); // asked again
    exitCode = code;
    ending.abort();
    setTimeout(() => process.exit(code), interruptBoundMs).unref();
  };
  process.on('SIGINT', () => end(ExitCode.Interrupted));
  process.on('SIGTERM', () => end(143));
  // `troupe events | head`: who read us has had enough, which is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (exitCode === undefined) end(ExitCode.Done);
  });
  // Nobody is left to tell it to.
  process.stderr.on('error', () => undefined);
  const code = await runCli(process.argv.slice(2), {
    // Node opens it at the first look.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    signal: ending.signal,
  });
  process.exitCode = exitCode ?? code;
  // A server that took the connection and never spoke leaves the client library a socket that nobody can close.
  setTimeout(() => {
    if (process.stdout.writableLength === 0) process.exit();
  }, lingerBoundMs).unref();
}
