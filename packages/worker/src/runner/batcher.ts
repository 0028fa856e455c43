/**
 * Keeps the session busy: holds the requests that wait, forms batches as the policy says, runs them, and tells each
 * request its own outcome. Knows nothing of NATS, and nothing of how requests and answers look on the wire.
 *
 * Invariants
 * R1  Every job that was added ends exactly once: ran, failed, too large or expired; or it is taken out again by
 *     its owner, who then ends it.
 * R2  A fault of a shared run is nobody's until it is found: each of its jobs is run again alone, first in line.
 * R3  Outputs whose first dimension is not the sum of rows are handed to nobody; the jobs are run again alone.
 */
import { asTroupeError, type Tensor, type TroupeError } from '@troupe/shared';
import type { RunOutcome, SessionRuns } from '../onnx/session-client.js';
import { assembleInputs, sliceOutputs } from './batch-assembly.js';
import type { BatchPace } from './batch-pace.js';
import { type BatchRules, planBatch, type WaitingRequest } from './batch-policy.js';

/** A request as the batcher has it. */
export interface BatchJob extends WaitingRequest {
  key: string | undefined;
  /** In the order of the model's signature. */
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[];
  /** Most bytes that its answer may take, and whether some of it is JSON. */
  readonly limitBytes: number;
  readonly json: boolean;
  /** Set by its owner when it has been answered otherwise: its outcome is of no interest any more. */
  abandoned: boolean;
}

/** How a job ended. */
export type JobOutcome =
  | { readonly kind: 'ran'; readonly outputs: readonly Tensor[] }
  | { readonly kind: 'too_large'; readonly bytes: number }
  | { readonly kind: 'failed'; readonly error: TroupeError }
  | { readonly kind: 'expired' };

export interface BatcherOptions<J extends BatchJob> {
  readonly session: SessionRuns;
  readonly rules: Omit<BatchRules, 'enoughRows'>;
  /** Where batches follow what is learnt of runs. */
  readonly pace?: Pick<BatchPace, 'enoughRows' | 'note'> | undefined;
  onEnd(job: J, outcome: JobOutcome): void;
  /** Before an exclusive job runs, and with `undefined` when it has ended. */
  onExclusive(job: J | undefined): void;
  /** Outputs did not fit the rows of a batch: the verdict that the model is batchable is wrong. */
  onMixedRows(): void;
}

interface Run<J> {
  readonly jobs: readonly J[];
  /** Of all its jobs. */
  readonly key: string | undefined;
  readonly rows: number;
  readonly exclusive: boolean;
}

/** See the file's head. */
export class Batcher<J extends BatchJob> {
  readonly #options: BatcherOptions<J>;
  readonly #rules: BatchRules;
  #waiting: J[] = [];
  #runs: Run<J>[] = [];
  #runStartedAtMs = 0;
  #wakeTimer: NodeJS.Timeout | undefined;
  #batchCount = 0;
  #rowCount = 0;

  constructor(options: BatcherOptions<J>) {
    this.#options = options;
    const { pace, rules } = options;
    this.#rules = pace === undefined ? rules : { ...rules, enoughRows: (key) => pace.enoughRows(key) };
  }

  /** Runs so far, and rows (or requests, where they are not merged) in them. */
  get counts(): { readonly batches: number; readonly rows: number } {
    return { batches: this.#batchCount, rows: this.#rowCount };
  }

  /** Since the present run began, in milliseconds; `undefined` where none is under way. */
  runningMs(nowMs = performance.now()): number | undefined {
    return this.#runs.length === 0 ? undefined : nowMs - this.#runStartedAtMs;
  }

  /** The only job of the present run; `undefined` where there is none, or several. */
  get runningAlone(): J | undefined {
    const jobs = this.#runs[0]?.jobs ?? [];
    return jobs.length === 1 ? jobs[0] : undefined;
  }

  /** Puts a job in line; `pump()` starts it. */
  add(job: J): void {
    this.#waiting.push(job);
  }

  /** Takes a job out of the line again; false where it runs already. */
  remove(job: J): boolean {
    const index = this.#waiting.indexOf(job);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  /** Starts whatever may start now. */
  pump(): void {
    clearTimeout(this.#wakeTimer);
    this.#wakeTimer = undefined;
    for (;;) {
      const nowMs = performance.now();
      const plan = planBatch(
        this.#waiting,
        this.#rules,
        {
          inFlight: this.#runs.length,
          exclusive: this.#runs.some(({ exclusive }) => exclusive),
          rows: this.#runs.at(-1)?.rows ?? 0,
        },
        nowMs,
      );
      const expired = plan.expired.map((index) => this.#waiting[index] as J);
      const batch = plan.batch.map((index) => this.#waiting[index] as J);
      if (expired.length + batch.length > 0) {
        const leaving = new Set([...expired, ...batch]);
        this.#waiting = this.#waiting.filter((job) => !leaving.has(job));
      }
      for (const job of expired) this.#options.onEnd(job, { kind: 'expired' });
      if (batch.length === 0) {
        if (plan.wakeAtMs !== undefined) this.#wakeAt(plan.wakeAtMs, nowMs);
        return;
      }
      this.#start(batch);
    }
  }

  /** Stops the clock. What waits is the owner's to hand back before. */
  close(): void {
    clearTimeout(this.#wakeTimer);
    this.#wakeTimer = undefined;
  }

  #wakeAt(atMs: number, nowMs: number): void {
    // Timers of Node end a millisecond early at times, and must not overflow.
    const inMs = Math.min(Math.max(1, Math.ceil(atMs - nowMs)), 60_000);
    this.#wakeTimer = setTimeout(() => this.pump(), inMs);
  }

  #start(jobs: readonly J[]): void {
    const [first] = jobs;
    if (first === undefined) return;
    let rows = 0;
    let limitBytes = 0;
    let json = false;
    for (const job of jobs) {
      rows += Math.max(1, job.rows);
      limitBytes += job.limitBytes;
      json ||= job.json;
    }
    const run: Run<J> = { jobs, key: first.key, rows, exclusive: first.exclusive };
    this.#runs.push(run);
    if (this.#runs.length === 1) this.#runStartedAtMs = performance.now();
    if (run.exclusive) this.#options.onExclusive(first);
    this.#batchCount += 1;
    this.#rowCount += rows;
    let outcome: Promise<RunOutcome>;
    try {
      const { session } = this.#options;
      const inputs = assembleInputs(
        jobs.map((job) => job.inputs),
        session.takeBuffer,
      );
      outcome = session.run(inputs, first.outputNames, { limitBytes, json });
    } catch (thrown) {
      // No memory for the inputs.
      outcome = Promise.resolve({ kind: 'failed', error: asTroupeError(thrown) });
    }
    outcome.then(
      (ended) => this.#finish(run, ended),
      (thrown: unknown) => this.#finish(run, { kind: 'failed', error: asTroupeError(thrown) }),
    );
  }

  #finish(run: Run<J>, outcome: RunOutcome): void {
    const nowMs = performance.now();
    this.#runs = this.#runs.filter((other) => other !== run);
    this.#runStartedAtMs = nowMs;
    if (run.exclusive) this.#options.onExclusive(undefined);
    if (outcome.kind === 'ran' && outcome.runMs !== undefined && run.key !== undefined)
      this.#options.pace?.note(run.key, run.rows, outcome.runMs);
    const ends = this.#share(run.jobs, outcome);
    // The session first: answering takes this thread a while, in which the next batch can run.
    this.pump();
    ends?.forEach((end, index) => {
      const job = run.jobs[index] as J;
      if (!job.abandoned) this.#options.onEnd(job, end);
    });
  }

  /** The outcome of each job; `undefined` where they were put in line again, to be run alone. */
  #share(jobs: readonly J[], outcome: RunOutcome): readonly JobOutcome[] | undefined {
    if (jobs.length === 1) return [outcome];
    if (outcome.kind === 'ran') {
      const slices = sliceOutputs(
        outcome.outputs,
        jobs.map(({ rows }) => rows),
      );
      if (slices !== undefined) return slices.map((outputs) => ({ kind: 'ran', outputs }));
      this.#options.onMixedRows();
    }
    const again = jobs.filter(({ abandoned }) => !abandoned);
    for (const job of again) job.key = undefined;
    this.#waiting.unshift(...again);
    return undefined;
  }
}
