/**
 * The queues that a runner serves: its own version's, and those of the versions that it covers or is ready to cover.
 * Owned by the runner; the lanes share its credits.
 *
 * A queue that is covered in readiness has its consumer declared and its inboxes open, and asks for nothing: from the
 * order to cover to the first pull there is no round trip.
 */
import type { Log, ModelVersion } from '@troupe/shared';
import type { LaneLimits, NatsLink } from '@troupe/shared/nats';
import type { CoverMode } from '../ipc/runner-messages.js';
import { type Lane, type LaneOptions, openLane } from './lane.js';

export interface RunnerLanesOptions extends Pick<LaneOptions, 'onMessage' | 'onCancel' | 'source'> {
  readonly model: string;
  readonly version: ModelVersion;
  readonly limits: LaneLimits;
  readonly credits: number;
  readonly log: Log;
  /** Messages that are held, of all lanes and of one. */
  heldCount(): number;
  heldOf(lane: Lane): number;
  /** The first answer for a covered version since `cover` was last called. */
  onCovered(version: number, answeredNs: bigint): void;
}

/**
 * What a covered queue gives before its first answer: a few, so that this is out before many more are read. On a busy
 * machine each of them costs the session's thread its turn.
 */
const firstCount = 8;

interface Cover {
  readonly version: ModelVersion;
  mode: CoverMode;
  lane: Lane | undefined;
  /** Whether its next answer is to be told. */
  telling: boolean;
}

/** See the file's head. */
export class RunnerLanes {
  readonly #options: RunnerLanesOptions;
  readonly #covers = new Map<number, Cover>();
  /** Lanes that pull no more, and whether something may still arrive on them or is held of them. */
  readonly #former = new Map<Lane, 'stopping' | 'stopped'>();
  #link: NatsLink | undefined;
  #own: Lane | undefined;
  #credits: number;
  #serving = false;
  #stopped = false;

  constructor(options: RunnerLanesOptions) {
    this.#options = options;
    this.#credits = options.credits;
  }

  /** Since the own lane last had a pull outstanding, in milliseconds; `undefined` where it does not pull. */
  lastPullAgoMs(): number | undefined {
    return this.#stopped ? undefined : this.#own?.lastPullAgoMs();
  }

  /** There is a connection: lanes that were asked for open now. */
  attach(link: NatsLink): void {
    this.#link = link;
    this.#open();
  }

  /** Begins to pull, or goes on with other credits. */
  serve(credits: number): void {
    this.#credits = credits;
    this.#serving = true;
    this.#open();
    this.pullMore();
  }

  cover(version: ModelVersion, mode: CoverMode): void {
    const cover = this.#covers.get(version.version) ?? { version, mode, lane: undefined, telling: false };
    // What a lane has asked for keeps coming for a while: one that shall only be ready is a new one.
    if (cover.mode !== 'ready' && mode === 'ready') this.#retire(cover);
    cover.mode = mode;
    cover.telling = mode !== 'ready';
    this.#covers.set(version.version, cover);
    this.#open();
    cover.lane?.pullMore();
  }

  uncover(version: number): void {
    const cover = this.#covers.get(version);
    if (cover === undefined) return;
    this.#covers.delete(version);
    this.#retire(cover);
    this.pullMore();
  }

  pullMore(): void {
    if (this.#former.size > 0) this.#closeFormer();
    this.#own?.pullMore();
    for (const { lane } of this.#covers.values()) lane?.pullMore();
  }

  /** Resolves when nothing more will arrive. What is held is still answered through its lane. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled(this.#all().map((lane) => lane.stop()));
  }

  /** Lets go, when nothing is held any more. */
  close(): void {
    this.#stopped = true;
    for (const lane of this.#all()) lane.close();
  }

  #all(): Lane[] {
    const lanes = [this.#own, ...[...this.#covers.values()].map(({ lane }) => lane)];
    return [...lanes.filter((lane) => lane !== undefined), ...this.#former.keys()];
  }

  #open(): void {
    const link = this.#link;
    if (!this.#serving || this.#stopped || link === undefined) return;
    const { limits, log, model, onCancel, onMessage, source, version } = this.#options;
    this.#own ??= openLane(link, {
      model,
      version,
      covering: false,
      ownServes: () => true,
      limits,
      source,
      log,
      freeSlots: () => this.#freeSlots(),
      onMessage,
      onCancel,
    });
    for (const cover of this.#covers.values()) {
      const { queueLimit = limits.queueLimit } = cover.version.limits;
      cover.lane ??= openLane(link, {
        model,
        version: cover.version,
        covering: true,
        ownServes: () => cover.mode !== 'active',
        limits: { ...limits, queueLimit },
        log,
        freeSlots: () => this.#freeSlotsOf(cover),
        onMessage,
        onCancel,
        onAnswered: () => this.#answered(cover),
      });
    }
  }

  /** For one lane: those that pull share what is free. */
  #freeSlots(): number {
    const free = Math.max(0, this.#credits - this.#options.heldCount());
    let lanes = 1;
    for (const { mode } of this.#covers.values()) if (mode !== 'ready') lanes += 1;
    return Math.ceil(free / lanes);
  }

  #freeSlotsOf({ lane, mode, telling }: Cover): number {
    if (mode === 'ready') return 0;
    const free = this.#freeSlots();
    if (!telling || lane === undefined) return free;
    return Math.min(free, Math.max(0, firstCount - this.#options.heldOf(lane)));
  }

  #answered(cover: Cover): void {
    if (!cover.telling) return;
    cover.telling = false;
    this.#options.onCovered(cover.version.version, process.hrtime.bigint());
  }

  #retire(cover: Cover): void {
    const { lane } = cover;
    cover.lane = undefined;
    if (lane === undefined) return;
    this.#former.set(lane, 'stopping');
    void lane
      .stop()
      .catch((thrown: unknown) => this.#options.log.warn({ err: thrown }, 'a queue was not left cleanly'))
      .then(() => {
        this.#former.set(lane, 'stopped');
        this.#closeFormer();
      });
  }

  /** A runner covers a hundred times in its life: each lane that went on hearing would hear every cancel once more. */
  #closeFormer(): void {
    for (const [lane, state] of this.#former) {
      if (state === 'stopping' || this.#options.heldOf(lane) > 0) continue;
      this.#former.delete(lane);
      lane.close();
    }
  }
}
