/**
 * Which calls outside of any trace are put to OpenTelemetry: a share of them, chosen by lot. One lot is drawn for calls
 * that follow each other at once, some at most: OpenTelemetry's SDK is much code that is seldom needed, and to begin a span
 * took it 50 to 120 µs where one in a hundred calls came to it alone, 5 to 20 where the call before had, too.
 */

/** Calls of one turn lie some 10 µs apart; a call alone, behind its answer, at least 300. */
const togetherMs = 0.1;
/** Most calls of one lot: a caller that sends thousands in one turn gets some of them traced, not all or none. */
const mostTogether = 16;

export class TraceShare {
  readonly #share: number;
  readonly #draw: () => number;
  #left = 0;
  #chosen = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** @param share from 0 to 1: how likely each call is to be chosen. */
  constructor(share: number, draw: () => number = Math.random) {
    this.#share = share;
    this.#draw = draw;
  }

  /** Whether the call that begins now, in `performance.now()`'s milliseconds, is one of the share. */
  choose(nowMs: number): boolean {
    if (this.#left === 0 || nowMs - this.#lastMs > togetherMs) {
      this.#left = mostTogether;
      this.#chosen = this.#draw() < this.#share;
    }
    this.#left -= 1;
    this.#lastMs = nowMs;
    return this.#chosen;
  }

  /** What was done for a chosen call took until now; without this, lots that trace would end before others. */
  went(nowMs: number): void {
    this.#lastMs = nowMs;
  }
}
