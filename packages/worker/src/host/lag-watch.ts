/**
 * Whether requests wait too long in the queue of a version on probation, so that the one that stands by should help.
 * Pure; fed with each status of the runner.
 */

/** Longer than the first slow moments of a fresh process make anybody wait; long before a queue is full. */
const tooLongMs = 250;
/** Help goes on for so long after the last sign: it is what keeps the queue short. */
const calmMs = 2_000;

export class LagWatch {
  #lagsUntilMs: number | undefined;

  /** The longest time that a message had been queued, of those since the last call; tells what has changed. */
  note(queuedMs: number, nowMs: number): 'lags' | 'keeps_up' | undefined {
    if (queuedMs > tooLongMs) {
      const isNew = this.#lagsUntilMs === undefined;
      this.#lagsUntilMs = nowMs + calmMs;
      return isNew ? 'lags' : undefined;
    }
    if (this.#lagsUntilMs === undefined || nowMs < this.#lagsUntilMs) return undefined;
    this.#lagsUntilMs = undefined;
    return 'keeps_up';
  }
}
