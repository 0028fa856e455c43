/**
 * Messages that a worker's dead runners held: suspects of having ended them. The next runner runs each alone, so that
 * a batch is not ended over and over, and a strike is counted where one ends its runner alone. The delivery count
 * would say the same, but nats-server 2.9.10 delivers a message under count 1 again that was given back while only
 * pulls of a connection that has gone were waiting.
 */

/** Longest deadline of a request: nobody awaits an older one. */
const keepMs = 300_000;
/** A runner holds no more; the oldest go first. */
const mostSuspects = 4_096;

/** See the file's head. */
export class Suspects {
  /** Stream sequence → until when it is remembered, oldest first. */
  readonly #until = new Map<number, number>();

  add(streamSequences: readonly number[], nowMs: number): void {
    for (const sequence of streamSequences) {
      this.#until.delete(sequence);
      this.#until.set(sequence, nowMs + keepMs);
    }
    for (const sequence of this.#until.keys()) {
      if (this.#until.size <= mostSuspects) break;
      this.#until.delete(sequence);
    }
  }

  list(nowMs: number): number[] {
    for (const [sequence, untilMs] of this.#until) if (untilMs <= nowMs) this.#until.delete(sequence);
    return [...this.#until.keys()];
  }
}
