/**
 * Gives back at rest what a runner needed under load. V8 collects when something is allocated, so a process that has
 * nothing to do keeps what its last second of work left: 20 of 96 MiB, with a tiny model.
 */
import { getHeapStatistics } from 'node:v8';

/** Without work for so long, it rests. */
const restMs = 2_000;
/** Until the second collection: V8 makes room smaller where little was allocated since the first. */
const againMs = 3_000;
/** What must have been added since the last one, or it is not worth its 10 ms. */
const worthwhileBytes = 4 * 1024 * 1024;

export interface RestMemoryDoors {
  /** A full collection; absent where V8 does not show it (`--expose-gc`), and then nothing is done. */
  readonly collect: (() => void) | undefined;
  /** Bytes that live and dead objects take. */
  heapUsed(): number;
}

const ofProcess: RestMemoryDoors = {
  collect: globalThis.gc === undefined ? undefined : () => globalThis.gc?.(),
  heapUsed: () => getHeapStatistics().used_heap_size,
};

/** One for a process; somebody has it look a few times a second. */
export class RestMemory {
  readonly #doors: RestMemoryDoors;
  #work = Number.NaN;
  #sinceMs = 0;
  #collections = 0;
  #leftBytes = 0;

  constructor(doors: RestMemoryDoors = ofProcess) {
    this.#doors = doors;
  }

  /** `work` counts what was done so far; `undefined`: something is under way. */
  look(work: number | undefined, nowMs = performance.now()): void {
    const { collect, heapUsed } = this.#doors;
    if (work === undefined || work !== this.#work) {
      this.#work = work ?? Number.NaN;
      this.#sinceMs = nowMs;
      this.#collections = 0;
      return;
    }
    const restedMs = nowMs - this.#sinceMs;
    if (collect === undefined || this.#collections > 1) return;
    if (restedMs < restMs + this.#collections * againMs) return;
    if (this.#collections === 0 && heapUsed() < this.#leftBytes + worthwhileBytes) {
      this.#collections = 2; // until there is work again
      return;
    }
    collect();
    this.#collections += 1;
    this.#leftBytes = heapUsed();
  }
}
