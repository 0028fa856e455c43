/**
 * How a version leaves: its route goes first (the planner's doing), then it waits `routeGraceMs` for doors that
 * have not heard, then until its queue is empty, then its workers drain, then what is left in the queue is answered
 * `model.version_retired`, and consumer and messages are removed. Called by the reconcile loop at every turn.
 */
import { type Log, TroupeError } from '@troupe/shared';
import {
  createWorkPuller,
  deleteWorkConsumer,
  deleteWorkStream,
  type LaneLimits,
  listWorkStreams,
  modelsWithQueuedWork,
  type NatsLink,
  purgeWork,
  queuedByVersion,
} from '@troupe/shared/nats';
import { parseVersionKey, type VersionRef, versionKey } from './worker-key.js';

/** A queue that does not empty by itself within this long after the grace is answered by us. */
const emptyBoundMs = 30_000;
/** Bound of answering what is left in one queue. */
const answerBoundMs = 10_000;
const answerAtOnce = 256;
/** How often all streams are compared with the routes, in milliseconds. */
const strandedEveryMs = 30_000;

/** What a turn of the loop knows, as it touches retirement. */
export interface RetirementView {
  /** Keys of the versions that published routes list. */
  readonly routed: ReadonlySet<string>;
  /** Keys of the versions that have workers anywhere, draining ones included. */
  readonly withWorkers: ReadonlySet<string>;
  readonly models: ReadonlySet<string>;
  /** Keys of the versions that the registry has. */
  readonly known: ReadonlySet<string>;
}

export interface Retirement {
  /** Takes note of where things stand; begins what is due, in the background. */
  update(view: RetirementView): void;
  /** Begins what has become due since the last note: cheap, and asked for often. */
  look(): void;
  /** Keys of versions whose workers may drain now. */
  retired(): ReadonlySet<string>;
  /** Stops beginning things, and waits for those under way. */
  stop(): Promise<void>;
}

export interface RetirementOptions {
  readonly link: NatsLink;
  readonly limits: LaneLimits;
  readonly routeGraceMs: number;
  readonly now: () => number;
  /** Some workers may drain now: a plan should be made. */
  readonly onRetired: () => void;
  readonly log: Log;
}

/** Creates the retirement of one term as leader. */
export function createRetirement(options: RetirementOptions): Retirement {
  const { link, now, log } = options;
  /** When a version left the route, by key. */
  const leftAt = new Map<string, number>();
  const retired = new Set<string>();
  const busy = new Map<string, Promise<void>>();
  let view: RetirementView = {
    routed: new Set(),
    withWorkers: new Set(),
    models: new Set(),
    known: new Set(),
  };
  let strandedDueMs = now() + strandedEveryMs / 6;
  let stopped = false;

  /** Runs one task for a key at a time; its failure is logged, and it is tried again at a later turn. */
  function begin(key: string, task: () => Promise<void>): void {
    if (stopped || busy.has(key)) return;
    const run = task()
      .catch((error: unknown) => log.warn({ err: error, key }, 'a retirement step failed; it is repeated'))
      .finally(() => busy.delete(key));
    busy.set(key, run);
  }

  async function checkEmpty(key: string): Promise<void> {
    const ref = parseVersionKey(key);
    const queued = (await queuedByVersion(link, ref.model)).get(ref.version) ?? 0;
    const waitedMs = now() - (leftAt.get(key) ?? now()) - options.routeGraceMs;
    if (queued !== 0 && waitedMs <= emptyBoundMs) return;
    retired.add(key);
    options.onRetired();
  }

  /** The last step: nobody serves the version, nothing leads to it. */
  async function finish(key: string): Promise<void> {
    const ref = parseVersionKey(key);
    const exists = view.models.has(ref.model);
    await answerLeftovers(ref, exists);
    if (stopped || view.routed.has(key) || view.withWorkers.has(key)) return; // it came back meanwhile
    await deleteWorkConsumer(link, ref.model, ref.version);
    await purgeWork(link, ref.model, ref.version);
    leftAt.delete(key);
    retired.delete(key);
    log.info(ref, 'version retired');
    // With the last version of a deleted model its stream goes, too.
    if (!view.models.has(ref.model)) strandedDueMs = now();
  }

  /** Acts as the version's last runner, which answers everything with one error. */
  async function answerLeftovers(ref: VersionRef, exists: boolean): Promise<void> {
    const queued = async () => (await queuedByVersion(link, ref.model)).get(ref.version) ?? 0;
    if ((await queued()) === 0) return;
    const error = exists
      ? new TroupeError('model.version_retired', `version ${ref.version} of model ${ref.model} was retired`)
      : new TroupeError('model.unknown', `model ${ref.model} was deleted`);
    let answered = 0;
    const puller = createWorkPuller(link, {
      ...ref,
      limits: options.limits,
      freeSlots: () => answerAtOnce,
      onMessage: (message) => {
        answered += 1;
        puller.answer(message, error);
      },
      onError: (failure) => log.debug({ err: failure, ...ref }, 'a retired queue could not be pulled yet'),
    });
    const untilMs = now() + answerBoundMs;
    puller.start();
    try {
      while (!stopped && now() < untilMs && (await queued()) > 0) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      await puller.stop();
    }
    if (answered > 0) log.info({ ...ref, answered }, 'answered what was left in a retired queue');
  }

  /** Compares all streams with the routes: finds what a dead leader or a late publish left behind. */
  async function findStranded(): Promise<void> {
    // Of a thousand models few have something waiting: only those are asked one by one.
    const withWork = new Set(await modelsWithQueuedWork(link));
    for (const model of await listWorkStreams(link)) {
      const queued = withWork.has(model) ? await queuedByVersion(link, model) : new Map<number, number>();
      for (const [version, count] of queued) {
        const key = versionKey({ model, version });
        if (count > 0 && isForgotten(key)) await finish(key);
      }
      const keys = [...view.withWorkers, ...leftAt.keys()];
      const inUse = view.models.has(model) || keys.some((key) => parseVersionKey(key).model === model);
      if (!inUse && !stopped) await deleteWorkStream(link, model);
    }
  }

  /** Begins what is due by now. */
  function look(): void {
    for (const [key, sinceMs] of leftAt) {
      if (view.routed.has(key)) {
        leftAt.delete(key);
        retired.delete(key);
        continue;
      }
      if (!retired.has(key)) {
        // What was deleted waits for nobody: a model's name may be given to something else.
        if (!view.known.has(key)) retired.add(key);
        else if (now() - sinceMs >= options.routeGraceMs) begin(key, () => checkEmpty(key));
      }
      if (retired.has(key) && !view.withWorkers.has(key)) begin(key, () => finish(key));
    }
    if (now() >= strandedDueMs) {
      strandedDueMs = now() + strandedEveryMs;
      begin('stranded', findStranded);
    }
  }

  const isForgotten = (key: string) =>
    !stopped && !view.routed.has(key) && !view.withWorkers.has(key) && !leftAt.has(key);

  return {
    update(next) {
      for (const key of [...view.routed, ...next.withWorkers]) {
        if (!next.routed.has(key) && !leftAt.has(key)) leftAt.set(key, now());
      }
      view = next;
      look();
    },
    look,
    retired: () => retired,
    async stop() {
      stopped = true;
      await Promise.all(busy.values());
    },
  };
}
