/**
 * Decides which waiting requests run together, and when. Pure: the batcher asks with the time and the state of the
 * session, and does what it is told.
 *
 * Invariants
 * B1  Requests of one batch have the same key, and their rows sum to at most `maxBatchSize`, and to no more than is
 *     enough for their key unless one of them alone has more.
 * B2  A request without a key (not mergeable, larger than `maxBatchSize`, no rows) is a batch of its own.
 * B3  An exclusive request (delivered before: it may be what ended a runner) runs with nothing beside it, neither in
 *     its batch nor elsewhere in the session, and nothing behind it starts before it.
 * B4  No request waits longer than `maxDelayMs` for company, counted from the oldest of its batch, while the session
 *     is idle.
 * B5  The batch holds the oldest request of its key, and the others in the order of their arrival.
 * B6  What has expired is named and is in no batch.
 */

/** What the policy knows of a waiting request. */
export interface WaitingRequest {
  /** Equal keys may share a run; `undefined`: a run of its own. */
  readonly key: string | undefined;
  readonly rows: number;
  readonly exclusive: boolean;
  /** Monotonic, in milliseconds. */
  readonly arrivedAtMs: number;
  readonly deadlineAtMs: number;
}

export interface BatchRules {
  readonly maxBatchSize: number;
  readonly maxDelayMs: number;
  /** Rows of requests with this key that need no further company; default `maxBatchSize`. */
  enoughRows?(key: string): number;
}

/** What the session is doing. */
export interface SessionState {
  /** Batches that were handed to it and have not come back. */
  readonly inFlight: number;
  /** One of them is exclusive. */
  readonly exclusive: boolean;
  /** Rows of the latest of them, 0 where there is none. */
  readonly rows: number;
}

export interface BatchPlan {
  /** Positions of the requests whose deadline has passed, ascending. */
  readonly expired: readonly number[];
  /** Positions of the requests to run now, ascending; empty where none. */
  readonly batch: readonly number[];
  /** When to ask again if nothing happens until then; `undefined` where only an event can change the plan. */
  readonly wakeAtMs: number | undefined;
}

/** Batches that the session may have at once: one runs while the next is on its way. */
export const maxBatchesInFlight = 2;
/** Of the rows of the batch that runs, what the next needs to follow it before it is done. */
const largeRatio = 0.75;

/** The plan for the requests that wait, in the order of their arrival. */
export function planBatch(
  waiting: readonly WaitingRequest[],
  rules: BatchRules,
  session: SessionState,
  nowMs: number,
): BatchPlan {
  const expired: number[] = [];
  let wakeAtMs = Number.POSITIVE_INFINITY;
  waiting.forEach((request, index) => {
    if (request.deadlineAtMs <= nowMs) expired.push(index);
    else wakeAtMs = Math.min(wakeAtMs, request.deadlineAtMs);
  });
  const idle = session.inFlight === 0;
  const plan = (batch: readonly number[]): BatchPlan => ({
    expired,
    batch,
    wakeAtMs: Number.isFinite(wakeAtMs) ? wakeAtMs : undefined,
  });
  if (session.exclusive || session.inFlight >= maxBatchesInFlight) return plan([]);

  const considered = new Set<string>();
  for (let index = 0; index < waiting.length; index += 1) {
    const request = waiting[index] as WaitingRequest;
    if (request.deadlineAtMs <= nowMs) continue;
    if (request.exclusive) return plan(idle ? [index] : []);
    if (request.key === undefined) return plan([index]);
    if (considered.has(request.key)) continue;
    considered.add(request.key);
    const enough = Math.min(rules.maxBatchSize, rules.enoughRows?.(request.key) ?? rules.maxBatchSize);
    const { batch, full, rows } = gather(waiting, index, request.key, Math.max(request.rows, enough), nowMs);
    const dueAtMs = request.arrivedAtMs + rules.maxDelayMs;
    // Behind a run the batch can still grow, and small batches are what makes a session slow: it follows at once only
    // where it is much as large. Then the session need not wait for it to come.
    const large = rows >= session.rows * largeRatio;
    if (full || (dueAtMs <= nowMs && (idle || large))) return plan(batch);
    if (dueAtMs > nowMs) wakeAtMs = Math.min(wakeAtMs, dueAtMs);
  }
  return plan([]);
}

/** The largest batch for a key from its oldest request on: first fit, in the order of arrival. */
function gather(
  waiting: readonly WaitingRequest[],
  first: number,
  key: string,
  maxRows: number,
  nowMs: number,
): { batch: readonly number[]; full: boolean; rows: number } {
  const batch: number[] = [];
  let rows = 0;
  let leftOut = false;
  for (let index = first; index < waiting.length && rows < maxRows; index += 1) {
    const request = waiting[index] as WaitingRequest;
    if (request.exclusive) break;
    if (request.key !== key || request.deadlineAtMs <= nowMs) continue;
    if (rows + request.rows > maxRows) {
      leftOut = true;
      continue;
    }
    batch.push(index);
    rows += request.rows;
  }
  return { batch, full: rows >= maxRows || leftOut, rows };
}
