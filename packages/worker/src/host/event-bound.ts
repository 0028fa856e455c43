/**
 * Keeps the event log readable where a worker goes wrong over and over: the first notices of a kind are told each, then
 * one every five minutes, with how many were left out since. The host asks it before it tells; nothing of the worker's
 * own behaviour depends on it.
 *
 * What others act upon is never left out: a death by which messages were handed back (clients learn from it which
 * requests nobody has to send again), a strike, a verdict.
 */
import type { WorkerNotice } from './worker-actor.js';

/** Notices that are told one by one: deaths, and changes of state (a healthy life has some six). */
const toldAtOnce = { died: 6, state: 24 } as const;
/** Later ones: one in so long, in milliseconds. */
const refillMs = 300_000;

type BoundKind = keyof typeof toldAtOnce;

interface Bucket {
  tokens: number;
  refilledAtMs: number;
  leftOut: number;
}

/** See the file's head. One for all workers; what it knows of a worker goes with it. */
export class EventBound {
  readonly #buckets = new WeakMap<object, Map<BoundKind, Bucket>>();

  /** How many notices like this one were left out before it; `undefined`: leave it out, too. */
  admit(worker: object, notice: WorkerNotice, nowMs: number): number | undefined {
    const kind = boundKindOf(notice);
    if (kind === undefined) return 0;
    const bucket = this.#bucketOf(worker, kind, nowMs);
    const refilled = Math.floor((nowMs - bucket.refilledAtMs) / refillMs);
    bucket.tokens = Math.min(toldAtOnce[kind], bucket.tokens + refilled);
    bucket.refilledAtMs += refilled * refillMs;
    if (bucket.tokens === 0) {
      bucket.leftOut += 1;
      return undefined;
    }
    bucket.tokens -= 1;
    const { leftOut } = bucket;
    bucket.leftOut = 0;
    return leftOut;
  }

  #bucketOf(worker: object, kind: BoundKind, nowMs: number): Bucket {
    let buckets = this.#buckets.get(worker);
    if (buckets === undefined) {
      buckets = new Map();
      this.#buckets.set(worker, buckets);
    }
    let bucket = buckets.get(kind);
    if (bucket === undefined) {
      bucket = { tokens: toldAtOnce[kind], refilledAtMs: nowMs, leftOut: 0 };
      buckets.set(kind, bucket);
    }
    return bucket;
  }
}

function boundKindOf(notice: WorkerNotice): BoundKind | undefined {
  if (notice.kind === 'state') return 'state';
  return notice.kind === 'died' && notice.handedBack.length === 0 ? 'died' : undefined;
}
