/** How long a worker waits before it starts a runner again. Pure. */

/** Deaths within a minute of health after which a version counts as unable to serve (the next one is it). */
export const maxCrashes = 3;

const firstPauseMs = 100;
const firstRetryMs = 1_000;
const longestPauseMs = 30_000;

/** Pause before the next runner: none after the first death, then 100 ms doubling up to 30 s. */
export function respawnPauseMs(recentCrashes: number): number {
  if (recentCrashes <= 1) return 0;
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(30, recentCrashes - 2));
}

/** Pause before the assigned version is tried again in fallback: 1 s doubling up to 30 s. */
export function retryPauseMs(retries: number): number {
  return Math.min(longestPauseMs, firstRetryMs * 2 ** Math.min(30, retries));
}
