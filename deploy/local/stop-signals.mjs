/**
 * Owns why and how fast a run ends: SIGINT, SIGTERM, SIGHUP (closed terminal), and npm's disappearance. Used by the
 * launcher and the test run. One terminal's Ctrl-C arrives twice within milliseconds (from the terminal and from npm),
 * so only what comes a second later is meant as a second one.
 */
import process from 'node:process';

const deliberateMs = 1_000;
const parentPollMs = 250;

/**
 * @typedef {object} StopSignals
 * @property {AbortSignal} stop asked to end; its reason is the signal's name
 * @property {AbortSignal} hurry asked again: end at once
 * @property {() => void} dispose
 */

/**
 * @param {{ onStop?: (reason: string) => void, onHurry?: () => void, env?: NodeJS.ProcessEnv }} [options]
 * @returns {StopSignals}
 */
export function watchStopSignals({ onStop, onHurry, env = process.env } = {}) {
  const stop = new AbortController();
  const hurry = new AbortController();
  let firstMs = 0;

  /** @param {string} reason */
  const ask = (reason) => {
    if (!stop.signal.aborted) {
      firstMs = performance.now();
      onStop?.(reason);
      stop.abort(reason);
    } else if (performance.now() - firstMs >= deliberateMs && !hurry.signal.aborted) {
      onHurry?.();
      hurry.abort(reason);
    }
  };
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
  for (const signal of signals) process.on(signal, ask);

  // SIGKILL of npm reaches nobody: but then our parent is another one. Without npm, the parent is none of our business.
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent || stop.signal.aborted) return;
    ask('npm has gone');
  }, parentPollMs);
  timer.unref();
  if (env.npm_lifecycle_event === undefined) clearInterval(timer);

  return {
    stop: stop.signal,
    hurry: hurry.signal,
    dispose() {
      clearInterval(timer);
      for (const signal of signals) process.off(signal, ask);
    },
  };
}
