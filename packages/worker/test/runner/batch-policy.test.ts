import { expect } from 'chai';
import fc from 'fast-check';
import {
  type BatchRules,
  maxBatchesInFlight,
  planBatch,
  type SessionState,
  type WaitingRequest,
} from '../../src/runner/batch-policy.js';

const nowMs = 1_000;
const idle: SessionState = { inFlight: 0, exclusive: false, rows: 0 };

const requestOf = (changes: Partial<WaitingRequest> = {}): WaitingRequest => ({
  key: 'a',
  rows: 1,
  exclusive: false,
  arrivedAtMs: nowMs - 5,
  deadlineAtMs: nowMs + 1_000,
  ...changes,
});

const anyRequest: fc.Arbitrary<WaitingRequest> = fc
  .record({
    key: fc.constantFrom('a', 'b', undefined),
    rows: fc.integer({ min: 1, max: 8 }),
    exclusive: fc.boolean(),
    waitedMs: fc.integer({ min: 0, max: 30 }),
    leftMs: fc.integer({ min: -20, max: 500 }),
  })
  .map(({ key, rows, exclusive, waitedMs, leftMs }) => ({
    key,
    rows,
    exclusive,
    arrivedAtMs: nowMs - waitedMs,
    deadlineAtMs: nowMs + leftMs,
  }));

const anyWaiting = fc
  .array(anyRequest, { maxLength: 30 })
  .map((all) => all.toSorted((left, right) => left.arrivedAtMs - right.arrivedAtMs));
const anyRules: fc.Arbitrary<BatchRules> = fc.record({
  maxBatchSize: fc.integer({ min: 8, max: 16 }),
  maxDelayMs: fc.integer({ min: 0, max: 20 }),
});
const anySession: fc.Arbitrary<SessionState> = fc
  .record({ inFlight: fc.integer({ min: 0, max: 2 }), exclusive: fc.boolean(), rows: fc.nat({ max: 8 }) })
  .map((state) => ({ ...state, exclusive: state.exclusive && state.inFlight > 0 }));

describe('batch policy', () => {
  it('stops where more company brings nothing, and takes a request with more rows than that alone (B1)', () => {
    const rules: BatchRules = { maxBatchSize: 16, maxDelayMs: 0, enoughRows: () => 4 };
    const waiting = [3, 1, 2, 2].map((rows) => requestOf({ rows }));
    expect(planBatch(waiting, rules, idle, nowMs).batch).to.deep.equal([0, 1]);
    const large = [6, 1, 2].map((rows) => requestOf({ rows }));
    expect(planBatch(large, rules, idle, nowMs).batch).to.deep.equal([0]);
  });

  it('never passes the rows that a run may hold, whatever is said to be enough (B1)', () => {
    const rules: BatchRules = { maxBatchSize: 4, maxDelayMs: 0, enoughRows: () => 100 };
    const waiting = Array.from({ length: 9 }, () => requestOf());
    expect(planBatch(waiting, rules, idle, nowMs).batch).to.deep.equal([0, 1, 2, 3]);
  });

  it('merges only equal keys, and never more rows than a run may hold (B1, B2)', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, anySession, (waiting, rules, session) => {
        const { batch } = planBatch(waiting, rules, session, nowMs);
        const jobs = batch.map((index) => waiting[index] as WaitingRequest);
        if (jobs.length < 2) return;
        expect(new Set(jobs.map(({ key }) => key)).size).to.equal(1);
        expect(jobs[0]?.key).to.not.equal(undefined);
        const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
        expect(rows).to.be.at.most(rules.maxBatchSize);
      }),
    );
  });

  it('runs an exclusive request with nothing beside it, and starts nothing behind it (B3)', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, anySession, (waiting, rules, session) => {
        const { batch } = planBatch(waiting, rules, session, nowMs);
        const alive = waiting.map(({ deadlineAtMs }) => deadlineAtMs > nowMs);
        const first = waiting.findIndex(({ exclusive }, index) => exclusive && alive[index]);
        if (session.exclusive) expect(batch).to.deep.equal([]);
        if (batch.some((index) => waiting[index]?.exclusive)) {
          expect(batch).to.deep.equal([first]);
          expect(session.inFlight).to.equal(0);
        } else if (first >= 0) {
          for (const index of batch) expect(index).to.be.below(first);
        }
      }),
    );
  });

  it('names every expired request and runs none (B6)', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, anySession, (waiting, rules, session) => {
        const { batch, expired } = planBatch(waiting, rules, session, nowMs);
        const expected = waiting.flatMap(({ deadlineAtMs }, index) => (deadlineAtMs <= nowMs ? [index] : []));
        expect(expired).to.deep.equal(expected);
        for (const index of batch) expect(expired).to.not.include(index);
      }),
    );
  });

  it('leaves an idle session idle only while every request may still wait for company (B4)', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, (waiting, rules) => {
        const { batch, expired, wakeAtMs } = planBatch(waiting, rules, idle, nowMs);
        const alive = waiting.filter((_, index) => !expired.includes(index));
        if (alive.length === 0 || batch.length > 0) return;
        for (const { arrivedAtMs } of alive) {
          expect(arrivedAtMs + rules.maxDelayMs).to.be.above(nowMs);
        }
        const due = Math.min(...alive.map(({ arrivedAtMs }) => arrivedAtMs + rules.maxDelayMs));
        const deadline = Math.min(...alive.map(({ deadlineAtMs }) => deadlineAtMs));
        expect(wakeAtMs).to.equal(Math.min(due, deadline));
      }),
    );
  });

  it('takes the oldest of a key, and keeps the order of arrival (B5)', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, anySession, (waiting, rules, session) => {
        const { batch } = planBatch(waiting, rules, session, nowMs);
        const [first] = batch;
        if (first === undefined) return;
        expect(batch).to.deep.equal(batch.toSorted((left, right) => left - right));
        const { key, exclusive } = waiting[first] as WaitingRequest;
        // One that runs alone is of no key, and may go while others wait for company.
        if (key === undefined || exclusive) return;
        const oldest = waiting.findIndex(
          (one) => one.key === key && !one.exclusive && one.deadlineAtMs > nowMs,
        );
        expect(first).to.equal(oldest);
      }),
    );
  });

  it('hands over no more batches than the session may have', () => {
    fc.assert(
      fc.property(anyWaiting, anyRules, (waiting, rules) => {
        const session = { inFlight: maxBatchesInFlight, exclusive: false, rows: 0 };
        expect(planBatch(waiting, rules, session, nowMs).batch).to.deep.equal([]);
      }),
    );
  });

  it('starts at once on an idle session without a configured delay', () => {
    const plan = planBatch(
      [requestOf({ arrivedAtMs: nowMs })],
      { maxBatchSize: 32, maxDelayMs: 0 },
      idle,
      nowMs,
    );
    expect(plan.batch).to.deep.equal([0]);
  });

  it('lets the next batch grow while a run is under way, until it is full or much as large as that', () => {
    const busy = { inFlight: 1, exclusive: false, rows: 3 };
    const rules = { maxBatchSize: 3, maxDelayMs: 0 };
    expect(planBatch([requestOf(), requestOf()], rules, busy, nowMs).batch).to.deep.equal([]);
    expect(planBatch([requestOf(), requestOf(), requestOf()], rules, busy, nowMs).batch).to.deep.equal([
      0, 1, 2,
    ]);
    const two = { ...busy, rows: 2 };
    expect(planBatch([requestOf()], rules, two, nowMs).batch).to.deep.equal([]);
    expect(planBatch([requestOf(), requestOf()], rules, two, nowMs).batch).to.deep.equal([0, 1]);
  });

  it('waits for the delay counted from the oldest request, unless the batch is full before', () => {
    const rules = { maxBatchSize: 4, maxDelayMs: 10 };
    const waiting = [requestOf({ arrivedAtMs: nowMs - 4 }), requestOf({ arrivedAtMs: nowMs })];
    const plan = planBatch(waiting, rules, idle, nowMs);
    expect(plan.batch).to.deep.equal([]);
    expect(plan.wakeAtMs).to.equal(nowMs + 6);
    expect(planBatch(waiting, rules, idle, nowMs + 6).batch).to.deep.equal([0, 1]);
    expect(planBatch([...waiting, requestOf({ rows: 2 })], rules, idle, nowMs).batch).to.deep.equal([
      0, 1, 2,
    ]);
  });

  it('does not let a batch that waits for company hold up one that need not', () => {
    const waiting = [requestOf({ arrivedAtMs: nowMs }), requestOf({ key: undefined, rows: 50 })];
    const plan = planBatch(waiting, { maxBatchSize: 4, maxDelayMs: 10 }, idle, nowMs);
    expect(plan.batch).to.deep.equal([1]);
  });
});
