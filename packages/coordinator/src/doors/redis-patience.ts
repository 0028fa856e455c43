/**
 * Asks a Redis that does not answer again, for a while: a replica takes over in seconds, a disk catches up in less. For
 * work that costs its caller more than the wait, and may run twice: an answer that was lost may be to work that was done.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { TroupeError } from '@troupe/shared';

export interface RedisPatience {
  /** From the first try to the start of the last one, in milliseconds. */
  readonly limitMs: number;
  /** Ends it: the work is tried no more, and its last error stands. */
  readonly signal: AbortSignal;
}

const betweenTriesMs = 250;

/** Rejects as the work does, with `redis.unreachable` only where that lasted. */
export async function patiently<T>(work: () => Promise<T>, { limitMs, signal }: RedisPatience): Promise<T> {
  const untilMs = performance.now() + limitMs - betweenTriesMs;
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      const maybeOver = thrown instanceof TroupeError && thrown.reason === 'redis.unreachable';
      if (!maybeOver || signal.aborted || performance.now() > untilMs) throw thrown;
      await pause(betweenTriesMs, undefined, { signal }).catch(() => {
        throw thrown;
      });
    }
  }
}
