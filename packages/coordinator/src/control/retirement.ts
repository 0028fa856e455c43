/**
 * How a version leaves: its route goes first (the planner's doing), then it waits `routeGraceMs` for doors that
 * have not heard, then until its queue is empty, then its workers drain, then what is left in the queue is handed to the
 * version that took its place, or answered `model.version_retired`, and consumer and messages are removed. Called by the
 * reconcile loop at every turn.
 */
import { type Log, TroupeError } from '@troupe/shared';
import {
  deleteWorkConsumer,
  deleteWorkStream,
  type LaneLimits,
  listWorkStreams,
  modelsWithQueuedWork,
  type NatsLink,
  purgeWork,
  queuedByVersion,
} from '@troupe/shared/nats';
import { clearLeftovers } from './leftovers.js';
import { parseVersionKey, type VersionRef, versionKey } from './worker-key.js';

/** A queue that does not empty by itself within this long after the grace is answered by us. */
const emptyBoundMs = 30_000;
/** Grace of a version whose place is waited for. What doors that hear of it later still send is handed over. */
const hurriedGraceMs = 500;
/** Between two looks for what they sent. */
const lateLookMs = 500;
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
  /** Keys of the versions whose place is waited for while requests wait: they leave as soon as may be. */
  readonly hurried: ReadonlySet<string>;
  /** Those of them that nobody answers for: their queue does not empty by itself. */
  readonly deserted: ReadonlySet<string>;
  /** The version of the same model that takes what is left in the queue of this one. */
  successorOf(ref: VersionRef): number | undefined;
}

export interface Retirement {
  /** Takes note of where things stand; begins what is due, in the background. */
  update(view: RetirementView): void;
  /** These versions come back: resolves once nothing of their leaving goes on, so that their routes may be published. */
  reclaim(keys: Iterable<string>): Promise<void>;
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
  /** Requests were handed over to a version. */
  readonly onHandedOver: (ref: VersionRef) => void;
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
    hurried: new Set(),
    deserted: new Set(),
    successorOf: () => undefined,
  };
  /** When a queue that was cleared before its grace was over is looked into again. */
  const lateLookAt = new Map<string, number>();
  /** Keys that come back, until the next note says so itself. */
  const reclaimed = new Set<string>();
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

  const graceMs = (key: string) =>
    view.hurried.has(key) ? Math.min(options.routeGraceMs, hurriedGraceMs) : options.routeGraceMs;

  async function checkEmpty(key: string): Promise<void> {
    const ref = parseVersionKey(key);
    const queued = (await queuedByVersion(link, ref.model)).get(ref.version) ?? 0;
    const waitedMs = now() - (leftAt.get(key) ?? now()) - graceMs(key);
    if (queued !== 0 && waitedMs <= emptyBoundMs && !view.deserted.has(key)) return;
    retired.add(key);
    options.onRetired();
  }

  /** The last step: nobody serves the version, nothing leads to it. */
  async function finish(key: string): Promise<void> {
    const ref = parseVersionKey(key);
    const successor = view.successorOf(ref);
    const refusal = view.models.has(ref.model)
      ? new TroupeError('model.version_retired', `version ${ref.version} of model ${ref.model} was retired`)
      : new TroupeError('model.unknown', `model ${ref.model} was deleted`);
    const goesOn = () => !stopped && !isBack(key);
    const lanes = { link, limits: options.limits, goesOn, log };
    const { handedOver, isEmpty } = await clearLeftovers(lanes, ref, successor, refusal);
    if (successor !== undefined && handedOver > 0)
      options.onHandedOver({ model: ref.model, version: successor });
    if (!goesOn() || !isEmpty) return; // it came back meanwhile, or there is more to do
    if (view.known.has(key) && now() - (leftAt.get(key) ?? Number.NEGATIVE_INFINITY) < options.routeGraceMs) {
      lateLookAt.set(key, now() + lateLookMs);
      return;
    }
    await deleteWorkConsumer(link, ref.model, ref.version);
    await purgeWork(link, ref.model, ref.version);
    forget(key);
    log.info(ref, 'version retired');
    // With the last version of a deleted model its stream goes, too.
    if (!view.models.has(ref.model)) strandedDueMs = now();
  }

  function forget(key: string): void {
    leftAt.delete(key);
    retired.delete(key);
    lateLookAt.delete(key);
  }

  /** Whether a version is wanted again, so that its queue is its workers' business. */
  const isBack = (key: string) => view.routed.has(key) || view.withWorkers.has(key) || reclaimed.has(key);

  /** Compares all streams with the routes: finds what a dead leader or a late publish left behind. */
  async function findStranded(): Promise<void> {
    // Of a thousand models few have something waiting: only those are asked one by one.
    const withWork = new Set(await modelsWithQueuedWork(link));
    for (const model of await listWorkStreams(link)) {
      let isBusy = false;
      const queued = withWork.has(model) ? await queuedByVersion(link, model) : new Map<number, number>();
      for (const [version, count] of queued) {
        const key = versionKey({ model, version });
        if (count === 0 || !isForgotten(key)) continue;
        isBusy = true;
        begin(key, () => finish(key));
      }
      const keys = [...view.withWorkers, ...leftAt.keys()];
      const inUse = view.models.has(model) || keys.some((key) => parseVersionKey(key).model === model);
      if (!inUse && !isBusy && !stopped) await deleteWorkStream(link, model);
    }
  }

  /** Begins what is due by now. */
  function look(): void {
    for (const [key, sinceMs] of leftAt) {
      if (view.routed.has(key)) {
        forget(key);
        continue;
      }
      if (!retired.has(key)) {
        // What was deleted waits for nobody: a model's name may be given to something else.
        if (!view.known.has(key)) retired.add(key);
        else if (now() - sinceMs >= graceMs(key)) begin(key, () => checkEmpty(key));
      }
      const isDue = now() >= (lateLookAt.get(key) ?? 0);
      if (isDue && retired.has(key) && !view.withWorkers.has(key)) begin(key, () => finish(key));
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
      reclaimed.clear();
      look();
    },
    async reclaim(keys) {
      for (const key of keys) {
        reclaimed.add(key);
        await busy.get(key);
      }
    },
    look,
    retired: () => retired,
    async stop() {
      stopped = true;
      await Promise.all(busy.values());
    },
  };
}
