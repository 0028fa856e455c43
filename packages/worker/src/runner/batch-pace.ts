/**
 * How many rows are enough for a run: from some size on, more company only makes everybody wait. Learnt on the very
 * device from what runs take, for each kind of request by itself; the batcher asks before each batch, warm-up and
 * finished runs tell. Pure: it has no clock and starts nothing.
 *
 * Invariants
 * Q1  What is enough lies between 1 and the rows that a run may hold, and is those where runs of that size are unknown:
 *     nothing is taken from a model before it was seen to be no slower without.
 * Q2  A size that is left for a smaller one is never given up for good: now and then the next larger one is tried, so
 *     that one bad measurement, or a machine that was busy, does not stay.
 */

/** What a run costs beside the session: to another thread and back, in milliseconds (docs/profile.md). */
const overheadMs = 0.15;
/** Of the best pace, what a smaller batch may lose: its requests wait for less. */
const slackRatio = 1.02;
/** Weight of a new run in what is remembered. */
const freshWeight = 0.1;
/** The part of a run's surprise that is the machine's: busy, it makes runs of every size slower. */
const commonRatio = 0.8;
/** A run that took longer than this many times what was known met something else on its processor. */
const outlierRatio = 2;
/** Runs between two tries of a larger size. */
const tryEvery = 64;
/** Kinds of request that are remembered: shapes, mostly. */
const maxKinds = 64;

/** What is known of one kind of request. */
interface Kind {
  /** Milliseconds a row takes in a run, by the position of its size; `undefined` where none ran. */
  readonly rowMs: (number | undefined)[];
  runs: number;
  enough: number;
}

/** See the file's head. */
export class BatchPace {
  /** Rows of the runs that are compared, ascending: powers of two, and the most that a run may hold. */
  readonly sizes: readonly number[];
  readonly #kinds = new Map<string, Kind>();

  constructor(maxRows: number) {
    const sizes: number[] = [];
    for (let rows = 1; rows < maxRows; rows *= 2) sizes.push(rows);
    this.sizes = [...sizes, maxRows];
  }

  /** Rows that a batch of requests with this key need not pass. */
  enoughRows(key: string): number {
    return this.#kinds.get(key)?.enough ?? this.#largest;
  }

  /** About what a run of so many rows takes, by the largest that is known; 0 where none is. */
  expectedMs(key: string, rows: number): number {
    return rows * (this.#kinds.get(key)?.rowMs.findLast((one) => one !== undefined) ?? 0);
  }

  /** A first run of made-up data; of several of one size the shortest counts. */
  learn(key: string, rows: number, runMs: number): void {
    this.#take(key, rows, runMs, ({ rowMs }, position, known, fresh) => {
      rowMs[position] = Math.min(known, fresh);
    });
  }

  /** A run of requests with this key. */
  note(key: string, rows: number, runMs: number): void {
    this.#take(key, rows, runMs, ({ rowMs }, position, known, fresh) => {
      const change = freshWeight * (Math.min(fresh / known, outlierRatio) - 1);
      for (const [other, one] of rowMs.entries()) {
        if (one !== undefined) rowMs[other] = one * (1 + change * (other === position ? 1 : commonRatio));
      }
    });
  }

  get #largest(): number {
    return this.sizes.at(-1) as number;
  }

  #take(
    key: string,
    rows: number,
    runMs: number,
    merge: (kind: Kind, position: number, known: number, fresh: number) => void,
  ): void {
    const kind = this.#kindOf(key);
    if (kind === undefined) return;
    kind.runs += 1;
    const position = this.sizes.indexOf(rows);
    if (position >= 0) {
      const fresh = (runMs + overheadMs) / rows;
      const known = kind.rowMs[position];
      if (known === undefined) kind.rowMs[position] = fresh;
      else merge(kind, position, known, fresh);
    }
    const good = this.#smallestGood(kind);
    const tried = kind.runs % tryEvery === 0 ? this.sizes[good + 1] : this.sizes[good];
    kind.enough = tried ?? this.#largest;
  }

  #kindOf(key: string): Kind | undefined {
    let kind = this.#kinds.get(key);
    if (kind === undefined && this.#kinds.size < maxKinds) {
      kind = { rowMs: this.sizes.map(() => undefined), runs: 0, enough: this.#largest };
      this.#kinds.set(key, kind);
    }
    return kind;
  }

  /** Position of the smallest size that is about as good as the best; the last where the last is unknown (Q1). */
  #smallestGood({ rowMs }: Kind): number {
    const last = this.sizes.length - 1;
    if (rowMs[last] === undefined) return last;
    let best = Number.POSITIVE_INFINITY;
    for (const one of rowMs) if (one !== undefined && one < best) best = one;
    return rowMs.findIndex((one) => one !== undefined && one <= best * slackRatio);
  }
}
