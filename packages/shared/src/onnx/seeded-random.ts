/**
 * Pseudo-random numbers that are the same on every machine, for weights, splits and test data.
 *
 * A counter stepped by the golden ratio and mixed by the 32-bit finaliser of MurmurHash3 (Austin Appleby,
 * public domain). Integer arithmetic only, so nothing depends on a platform's floating point library. Not for
 * secrets.
 */
export class SeededRandom {
  #counter: number;

  constructor(seed: number) {
    this.#counter = seed >>> 0;
  }

  /** The next number in [0, 1), with 32 random bits. */
  next(): number {
    this.#counter = (this.#counter + 0x9e3779b9) >>> 0;
    let hash = this.#counter;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
  }

  /** The next number in [-limit, limit). */
  nextWithin(limit: number): number {
    return (this.next() * 2 - 1) * limit;
  }

  /** Shuffles a list in place (Fisher and Yates). */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last -= 1) {
      const other = Math.floor(this.next() * (last + 1));
      const held = items[last] as T;
      items[last] = items[other] as T;
      items[other] = held;
    }
    return items;
  }
}
