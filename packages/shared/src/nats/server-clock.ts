/**
 * How long a message was queued, without trusting that clocks agree: the smallest difference between arrival (on
 * the local monotonic clock) and the server's stored timestamp within the last minute stands for 'not queued at all'.
 */

export interface ServerClock {
  /** Milliseconds that a message spent in the stream, by the estimate so far; never negative. */
  queuedMs(storedAtMs: number, arrivedAtMs: number): number;
}

const windowMs = 60_000;

/** Keeps the minimum over the last one to two windows, in constant space. */
export function createServerClock(): ServerClock {
  let windowStart = Number.NEGATIVE_INFINITY;
  let previousMin = Number.POSITIVE_INFINITY;
  let currentMin = Number.POSITIVE_INFINITY;
  return {
    queuedMs(storedAtMs, arrivedAtMs) {
      if (arrivedAtMs - windowStart > windowMs) {
        previousMin = currentMin;
        currentMin = Number.POSITIVE_INFINITY;
        windowStart = arrivedAtMs;
      }
      const offset = arrivedAtMs - storedAtMs;
      currentMin = Math.min(currentMin, offset);
      return offset - Math.min(currentMin, previousMin);
    },
  };
}
