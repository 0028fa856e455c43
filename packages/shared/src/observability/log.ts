/** The process log: one JSON line per record on standard error. Client strings are escaped by the encoder. */
import { type DestinationStream, type Logger, pino } from 'pino';
import { TroupeError } from '../errors/troupe-error.js';

export type Log = Logger;

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/**
 * Creates the log of a process. `level` defaults to `info` (`TROUPE_LOG_LEVEL`).
 * Written synchronously to standard error, so that the last words of a dying process are not lost.
 */
export function createLog(name: string, level = 'info', destination?: DestinationStream): Log {
  if (!levels.includes(level)) {
    throw new TroupeError(
      'config.invalid',
      `TROUPE_LOG_LEVEL=${JSON.stringify(level)} is not one of ${levels.join(', ')}`,
    );
  }
  const options = {
    name,
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: ['password', 'token', 'url', '*.password', '*.url'], censor: '[redacted]' },
  };
  return pino(options, destination ?? pino.destination({ fd: 2, sync: true }));
}
