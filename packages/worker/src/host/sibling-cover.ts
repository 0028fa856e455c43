/**
 * The sibling actor of one worker: finds a warm worker of the standby version on this host, has it ready while the
 * worker is on probation, has it cover while the worker cannot serve, and finds another one when it is gone.
 */
import type { Assignment, ModelVersion } from '@troupe/shared';
import type { CoverMode } from '../ipc/runner-messages.js';
import { type Covered, type CoveringWorker, canCover, type Siblings } from './siblings.js';
import type { SiblingOrderEvent, WorkerEvent } from './worker-events.js';

export interface SiblingCoverOptions {
  readonly assignment: Assignment;
  readonly siblings: Siblings;
  /** The model's last stable version, for a worker without a named standby. */
  stable(): ModelVersion | undefined;
  tell(event: Extract<WorkerEvent, { type: 'sibling.covers' | 'sibling.lost' }>): void;
  answered(answeredNs: bigint): void;
}

/** See the file's head. */
export class SiblingCover implements Covered {
  readonly #options: SiblingCoverOptions;
  readonly #endWatch: () => void;
  #standby: ModelVersion | undefined;
  /** Ordered to cover; `ready`: others serve the version meanwhile. */
  #cover: CoverMode | undefined;
  #current: CoveringWorker | undefined;
  #told: 'covers' | 'lost' | undefined;

  constructor(options: SiblingCoverOptions) {
    this.#options = options;
    this.#standby = options.assignment.probation?.standby;
    this.#endWatch = options.siblings.watch(() => this.#look());
    this.#look();
  }

  /** The worker that covers, where one does. */
  get covering(): CoveringWorker | undefined {
    return this.#cover === undefined ? undefined : this.#current;
  }

  order(order: SiblingOrderEvent): void {
    this.#told = undefined;
    switch (order.type) {
      case 'order.probation':
        this.#standby = order.standby;
        break;
      case 'order.cover':
        this.#cover = order.mode;
        break;
      case 'order.uncover':
        this.#cover = undefined;
        break;
    }
    this.#look(true);
  }

  stop(): void {
    this.#endWatch();
    this.#leave();
  }

  answered(answeredNs: bigint): void {
    this.#options.answered(answeredNs);
  }

  #look(ordered = false): void {
    const { assignment, siblings, stable } = this.#options;
    const { device, model, version } = assignment;
    const wanted = this.#standby ?? (this.#cover === undefined ? undefined : stable());
    if (wanted === undefined) {
      this.#leave();
      this.#tell('lost');
      return;
    }
    const { version: number } = wanted;
    const before = this.#current;
    const found =
      before !== undefined && canCover(before, model, number, version)
        ? before
        : siblings.find(model, number, version, device);
    if (found !== before) this.#leave();
    this.#current = found;
    if (found === undefined) {
      this.#tell('lost');
      return;
    }
    if (ordered || found !== before) found.cover(this, version, this.#cover ?? 'ready');
    this.#tell('covers');
  }

  #leave(): void {
    this.#current?.uncover(this, this.#options.assignment.version);
    this.#current = undefined;
  }

  /** Only what is new, and only to a worker that wants to be covered. */
  #tell(what: 'covers' | 'lost'): void {
    if (this.#cover === undefined || this.#told === what) return;
    this.#told = what;
    const version = this.#current?.assigned;
    this.#options.tell(
      what === 'covers' && version !== undefined
        ? { type: 'sibling.covers', version }
        : { type: 'sibling.lost' },
    );
  }
}
