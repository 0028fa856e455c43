/**
 * A server that is not there yet is waited for: processes and servers of a machine start in any order. Coordinator and
 * host call it at their start, before they are ready. What waiting cannot mend (wrong credentials, no JetStream, a
 * Redis that forgets) goes straight to the caller; nothing else is decided here.
 */
import type { ErrorReason } from '../errors/error-catalogue.js';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import type { Log } from '../observability/log.js';

export interface WaitForServerOptions {
  /** Ends the wait at once, and the attempt under way with it. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** What to do about it, for the log: `start it, or say where it is (--nats, NATS_URL)`. */
  readonly advice: string;
  /** Between two lines of the log, in milliseconds; default 10,000. */
  readonly sayEveryMs?: number;
}

const defaultSayEveryMs = 10_000;
/** Between two attempts: short beside the time that a server takes to start. */
const retryMs = 500;

const worthWaiting: ReadonlySet<ErrorReason> = new Set(['nats.unreachable', 'redis.unreachable']);

function stopped(): TroupeError {
  return new TroupeError('client.closed', 'stopped while it waited for a server');
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/**
 * Connects, again and again while nobody answers, and says so on the log at the first failure and every 10 s. Rejects
 * with what waiting cannot mend, and with `client.closed` where the signal ended it.
 */
export async function waitForServer<Connection extends { close(): Promise<void> }>(
  connect: () => Promise<Connection>,
  options: WaitForServerOptions,
): Promise<Connection> {
  const { signal, log, advice, sayEveryMs = defaultSayEveryMs } = options;
  const startedAtMs = performance.now();
  let saidAtMs: number | undefined;
  while (!signal.aborted) {
    try {
      const connection = await connect();
      if (!signal.aborted) return connection;
      await connection.close();
    } catch (thrown) {
      const error = asTroupeError(thrown);
      if (signal.aborted) break;
      if (!worthWaiting.has(error.reason)) throw error;
      const nowMs = performance.now();
      if (saidAtMs === undefined || nowMs - saidAtMs >= sayEveryMs) {
        saidAtMs = nowMs;
        const waitedSeconds = Math.round((nowMs - startedAtMs) / 1_000);
        log.warn(
          { reason: error.reason, waitedSeconds },
          `not ready, waiting: ${error.message}; ${advice}`.replace(/\s*\n\s*/g, ' '),
        );
      }
      await pause(retryMs, signal);
    }
  }
  throw stopped();
}
