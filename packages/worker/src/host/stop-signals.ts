/**
 * Signals of a process that drains: SIGTERM and SIGINT ask it to stop, once. A terminal's one Ctrl-C may arrive twice
 * within milliseconds (from the terminal and from npm), so only a deliberate second one, a second later, means 'now'.
 */

/** Earliest a second SIGINT counts as another one, in milliseconds. */
const deliberateMs = 1_000;

/**
 * Calls `stop` at the first signal and `abort` at a deliberate second Ctrl-C, each at most once. Listens until the
 * process is gone: a late signal would otherwise turn its exit code into a death by signal.
 */
export function onStopSignals(stop: (signal: NodeJS.Signals) => void, abort: () => void): void {
  let stoppedAtMs: number | undefined;
  let aborted = false;
  const hear = (signal: NodeJS.Signals) => {
    const nowMs = performance.now();
    if (stoppedAtMs === undefined) {
      stoppedAtMs = nowMs;
      stop(signal);
    } else if (signal === 'SIGINT' && nowMs - stoppedAtMs >= deliberateMs && !aborted) {
      aborted = true;
      abort();
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, hear);
}
