/** The batcher on a session that the test answers for, run by run. */
import { type Tensor, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import type { RunOutcome } from '../../src/onnx/session-client.js';
import { Batcher, type BatcherOptions, type BatchJob, type JobOutcome } from '../../src/runner/batcher.js';

interface Job extends BatchJob {
  readonly id: number;
}

const tensorOf = (values: readonly number[]): Tensor => ({
  name: 'x',
  datatype: 'INT8',
  shape: [values.length, 1],
  data: Uint8Array.from(values),
});

class Bench {
  readonly runs: { readonly inputs: readonly Tensor[]; readonly end: (outcome: RunOutcome) => void }[] = [];
  readonly ends = new Map<number, JobOutcome>();
  readonly exclusive: (number | undefined)[] = [];
  readonly batcher: Batcher<Job>;

  constructor(pace?: BatcherOptions<Job>['pace']) {
    this.batcher = new Batcher<Job>({
      session: { run: (inputs) => new Promise((end) => this.runs.push({ inputs, end })) },
      rules: { maxBatchSize: 4, maxDelayMs: 0 },
      pace,
      onEnd: (job, outcome) => {
        expect(this.ends.has(job.id), `job ${job.id} ends once`).to.equal(false);
        this.ends.set(job.id, outcome);
      },
      onExclusive: (job) => this.exclusive.push(job?.id),
      onMixedRows: () => undefined,
    });
  }

  add(id: number, changes: Partial<Job> = {}): Job {
    const nowMs = performance.now();
    const job: Job = {
      id,
      key: 'k',
      rows: 1,
      exclusive: false,
      arrivedAtMs: nowMs,
      deadlineAtMs: nowMs + 60_000,
      inputs: [tensorOf([id])],
      outputNames: ['x'],
      limitBytes: 100,
      json: false,
      abandoned: false,
      ...changes,
    };
    this.batcher.add(job);
    return job;
  }

  /** Ends the run at a position; an identity where no outcome is given. */
  async end(position: number, outcome?: RunOutcome): Promise<void> {
    const run = this.runs[position];
    run?.end(outcome ?? { kind: 'ran', outputs: run.inputs });
    await new Promise((resolve) => setImmediate(resolve));
  }

  valuesOf(position: number): number[] {
    return Array.from((this.runs[position]?.inputs[0]?.data ?? []) as Uint8Array);
  }
}

describe('batcher', () => {
  it('gives each job its own rows', async () => {
    const bench = new Bench();
    for (const id of [1, 2, 3]) bench.add(id);
    bench.batcher.pump();
    expect(bench.valuesOf(0)).to.deep.equal([1, 2, 3]);
    await bench.end(0);
    for (const id of [1, 2, 3])
      expect(bench.ends.get(id)).to.deep.equal({ kind: 'ran', outputs: [tensorOf([id])] });
    expect(bench.batcher.counts).to.deep.equal({ batches: 1, rows: 3 });
    bench.batcher.close();
  });

  it('lets batches follow what it learns of its runs', async () => {
    const noted: unknown[] = [];
    const bench = new Bench({
      enoughRows: () => 2,
      note: (...run) => noted.push(run),
    });
    for (const id of [1, 2, 3]) bench.add(id);
    bench.batcher.pump();
    expect(bench.valuesOf(0)).to.deep.equal([1, 2]);
    await bench.end(0, { kind: 'ran', outputs: [tensorOf([1, 2])], runMs: 7 });
    expect(noted).to.deep.equal([['k', 2, 7]]);
    bench.batcher.close();
  });

  it('blames only the culprit when a shared run fails (R2)', async () => {
    const bench = new Bench();
    for (const id of [1, 2, 3]) bench.add(id);
    bench.batcher.pump();
    const error = new TroupeError('model.run_failed', 'no');
    await bench.end(0, { kind: 'failed', error });
    expect(bench.ends.size).to.equal(0);
    for (const position of [1, 2, 3]) {
      expect(bench.valuesOf(position)).to.have.length(1);
      await (bench.valuesOf(position)[0] === 2
        ? bench.end(position, { kind: 'failed', error })
        : bench.end(position));
    }
    expect([1, 2, 3].map((id) => bench.ends.get(id)?.kind)).to.deep.equal(['ran', 'failed', 'ran']);
    bench.batcher.close();
  });

  it('hands out nothing of a batch whose outputs have other rows, and runs its jobs alone (R3)', async () => {
    const bench = new Bench();
    for (const id of [1, 2]) bench.add(id);
    bench.batcher.pump();
    await bench.end(0, { kind: 'ran', outputs: [tensorOf([9])] });
    expect(bench.ends.size).to.equal(0);
    await bench.end(1);
    await bench.end(2);
    expect([...bench.ends.keys()]).to.deep.equal([1, 2]);
    bench.batcher.close();
  });

  it('runs the jobs alone when their outputs together are too large, so that only a large one is refused', async () => {
    const bench = new Bench();
    for (const id of [1, 2]) bench.add(id);
    bench.batcher.pump();
    await bench.end(0, { kind: 'too_large', bytes: 500 });
    await bench.end(1, { kind: 'too_large', bytes: 450 });
    await bench.end(2);
    expect([1, 2].map((id) => bench.ends.get(id)?.kind)).to.deep.equal(['too_large', 'ran']);
    bench.batcher.close();
  });

  it('runs an exclusive job with nothing else in the session, and says when it begins and ends', async () => {
    const bench = new Bench();
    bench.add(1);
    bench.batcher.pump();
    bench.add(2, { exclusive: true });
    bench.add(3);
    bench.batcher.pump();
    expect(bench.runs).to.have.length(1);
    await bench.end(0);
    expect(bench.exclusive).to.deep.equal([2]);
    expect(bench.runs).to.have.length(2);
    await bench.end(1);
    expect(bench.exclusive).to.deep.equal([2, undefined]);
    expect(bench.valuesOf(2)).to.deep.equal([3]);
    await bench.end(2);
    bench.batcher.close();
  });

  it('tells nothing to a job that was abandoned while it ran, and does not run it again', async () => {
    const bench = new Bench();
    const job = bench.add(1);
    bench.add(2);
    bench.batcher.pump();
    job.abandoned = true;
    await bench.end(0, { kind: 'failed', error: new TroupeError('model.run_failed', 'no') });
    expect(bench.runs).to.have.length(2);
    await bench.end(1);
    expect([...bench.ends.keys()]).to.deep.equal([2]);
    bench.batcher.close();
  });

  it('ends a waiting job at its deadline without an event from outside', async () => {
    const bench = new Bench();
    for (const id of [1, 2]) bench.add(id, { key: undefined });
    bench.batcher.pump(); // both places in the session are taken
    bench.add(3, { key: undefined, deadlineAtMs: performance.now() + 20 });
    bench.batcher.pump();
    await waitUntil('it has expired', () => bench.ends.has(3));
    expect(bench.ends.get(3)).to.deep.equal({ kind: 'expired' });
    expect(bench.runs).to.have.length(2);
    bench.batcher.close();
  });

  it('takes a waiting job out of the line, but not a running one', () => {
    const bench = new Bench();
    const running = bench.add(1, { key: undefined });
    bench.add(2, { key: undefined });
    const waiting = bench.add(3, { key: undefined });
    bench.batcher.pump();
    expect(bench.batcher.remove(waiting)).to.equal(true);
    expect(bench.batcher.remove(running)).to.equal(false);
    expect(bench.batcher.runningAlone).to.equal(running);
    bench.batcher.close();
  });
});
