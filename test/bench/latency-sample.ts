/**
 * Latencies of a window, in room that has a limit: all of an hour's would be half a gigabyte, in the very process whose
 * memory is watched. Of more than fit, as many are kept by chance, each with the same odds (Vitter's algorithm R).
 */
const keptByDefault = 1 << 20;

export class LatencySample {
  readonly #limit: number;
  #kept = new Float64Array(1 << 10);
  #count = 0;
  #max = 0;

  constructor(limit = keptByDefault) {
    this.#limit = limit;
  }

  /** All that were added. */
  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#count === 0 ? Number.NaN : this.#max;
  }

  add(ms: number): void {
    if (this.#count === this.#kept.length && this.#count < this.#limit) this.#grow();
    const at = this.#count < this.#limit ? this.#count : Math.floor(Math.random() * (this.#count + 1));
    // Behind the end of a typed array nothing is written.
    this.#kept[at] = ms;
    this.#count += 1;
    this.#max = Math.max(this.#max, ms);
  }

  /** What is kept, ascending. Nothing is added after it. */
  sorted(): Float64Array {
    return this.#kept.subarray(0, Math.min(this.#count, this.#limit)).sort();
  }

  #grow(): void {
    const grown = new Float64Array(Math.min(this.#limit, this.#kept.length * 2));
    grown.set(this.#kept);
    this.#kept = grown;
  }
}
