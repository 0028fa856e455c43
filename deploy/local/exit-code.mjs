/**
 * Owns what a run that ended early says and which exit code it has. Called by launch.mjs and run-tests.mjs; a fault of
 * our own is not caught here: it is thrown on, with its stack.
 */
import { Interrupted, SetupFault } from './fault.mjs';

/** As shells have it: 128 and the signal's number. */
const signalCodes = new Map([
  ['SIGHUP', 129],
  ['SIGINT', 130],
]);

/**
 * Exit code of a run that a signal ended before it was done.
 * @param {string} reason
 */
export function interruptedExitCode(reason) {
  return signalCodes.get(reason) ?? 143;
}

/**
 * Tells what is wrong and returns the exit code.
 * @param {unknown} error
 * @param {(line: string) => void} tell
 */
export function reportEarlyEnd(error, tell) {
  if (error instanceof Interrupted) return interruptedExitCode(error.reason);
  const fault = asFault(error);
  if (fault === undefined) throw error;
  if (fault.detail) tell(fault.detail);
  tell(`troupe: ${fault.message}`);
  return fault.exitCode;
}

/**
 * Faults of ours, and of the file system where it names a file: those the user can put right.
 * @param {unknown} error
 */
function asFault(error) {
  if (error instanceof SetupFault) return error;
  const { code, path } = /** @type {NodeJS.ErrnoException} */ (error ?? {});
  if (path === undefined || code === undefined) return undefined;
  const why = {
    EACCES: 'this user may not',
    EPERM: 'this user may not',
    EROFS: 'the disk is read-only',
    ENOSPC: 'the disk is full',
  }[code];
  return why === undefined ? undefined : new SetupFault(`${path} cannot be written or read: ${why}`);
}
