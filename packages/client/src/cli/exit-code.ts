/** Exit codes of the command line, and which error gets which. */
import { type ErrorReason, TroupeError } from '@troupe/shared';

export const ExitCode = {
  Done: 0,
  /** Refused by the cluster, or failed. */
  Failed: 1,
  /** The command line itself is wrong. */
  Usage: 2,
  /** No cluster was reached. */
  Unreached: 3,
  /** Ended by Ctrl-C: 128 and the signal's number, as shells have it. */
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A command line that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Ends a command with an exit code after it has said why itself. */
export class AlreadyTold extends Error {
  override readonly name = 'AlreadyTold';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const unreached: readonly ErrorReason[] = ['nats.unreachable', 'nats.no_jetstream', 'cluster.absent'];

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.Usage;
  if (error instanceof TroupeError && unreached.includes(error.reason)) return ExitCode.Unreached;
  return ExitCode.Failed;
}
