/** One run of the command line: arguments in, exit code out, errors told once. Ends no process. */
import { CommanderError } from 'commander';
import { type CliStreams, reportError } from './command-context.js';
import { AlreadyTold, ExitCode, exitCodeOf, UsageError } from './exit-code.js';
import { createProgram } from './program.js';

/** Runs a command line (without `node` and the script); resolves with the exit code and never rejects. */
export async function runCli(args: readonly string[], streams: CliStreams): Promise<ExitCode> {
  const json = args.includes('--json');
  try {
    await createProgram(streams, json, args.includes('--print-config')).parseAsync([...args], {
      from: 'user',
    });
    return streams.signal.aborted ? ExitCode.Interrupted : ExitCode.Done;
  } catch (thrown) {
    // Whoever ended the run early wants no account of what broke off.
    if (streams.signal.aborted) return ExitCode.Interrupted;
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return ExitCode.Done; // help or version was asked for and shown
      const missing = thrown.code === 'commander.help';
      // Without a command there is the help, which was shown; but not to a program that reads JSON.
      if (!missing || json) {
        const fault = missing ? 'a command is missing' : thrown.message.replace(/^error: /, '');
        reportError(streams.stderr, json, new UsageError(fault));
      }
      return ExitCode.Usage;
    }
    if (thrown instanceof AlreadyTold) return thrown.exitCode;
    reportError(streams.stderr, json, thrown);
    return exitCodeOf(thrown);
  }
}
