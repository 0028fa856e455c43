/**
 * Signals of a process that drains: SIGTERM and SIGINT ask it to stop, once. A terminal's one Ctrl-C may arrive twice
 * within milliseconds (from the terminal and from npm), so only a deliberate second one, a second later, means 'now'.
 */

/** Earliest a second SIGINT counts as another one, in milliseconds. */
const deliberateMs = 1_000;

export interface StopSignals {
  /** Stops listening. */
  release(): void;
}

/** Calls `stop` at the first signal and `abort` at a deliberate second Ctrl-C, each at most once. */
export function onStopSignals(stop: (signal: NodeJS.Signals) => void, abort: () => void): StopSignals {
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
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, hear);
  return {
    release: () => {
      for (const signal of signals) process.off(signal, hear);
    },
  };
}
