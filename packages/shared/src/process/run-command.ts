/** How the `main` of a process ends: exit codes, and one line on standard error for what went wrong. */
import { asTroupeError } from '../errors/troupe-error.js';

/** The command line is wrong, or asked for help: what to exit with. The text was printed already. */
export class CommandLineExit extends Error {
  override readonly name = 'CommandLineExit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** Runs a process's `main` and sets its exit code: what it resolves with, that of a `CommandLineExit`, else 1. */
export function runCommand(main: () => Promise<number>): void {
  main().then(
    (code) => {
      process.exitCode = code;
    },
    (thrown: unknown) => {
      if (thrown instanceof CommandLineExit) {
        process.exitCode = thrown.exitCode;
        return;
      }
      process.stderr.write(`troupe: ${asTroupeError(thrown).message.replace(/\s*\n\s*/g, ' ')}\n`);
      process.exitCode = 1;
    },
  );
}
