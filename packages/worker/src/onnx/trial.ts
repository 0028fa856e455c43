/**
 * Tries a model file in a throw-away process before it may be registered. Called by hosts; the caller's process is
 * safe from whatever the model does. Owns the process, its clock and its end, but not the file.
 */
import { type ChildProcess, fork } from 'node:child_process';
import {
  childEnvironment,
  decodeError,
  defaults,
  type TrialRequest,
  type TrialVerdict,
  TroupeError,
} from '@troupe/shared';
import { entryUrl } from './entry-file.js';
import { readResidentBytes } from './process-memory.js';
import type { TrialOrder, TrialPassed, TrialReport, TrialStep } from './trial-messages.js';

/** A trial to do. */
export interface TrialOptions {
  /** The verified file. */
  readonly modelPath: string;
  readonly trial: TrialRequest;
  readonly device: string;
  readonly intraOpThreads: number;
  /** For all of it, in milliseconds. Default `loadLimitMs`, 120 s. */
  readonly limitMs?: number;
  /** For one run on made-up data, in milliseconds; one that takes longer is given up and proves nothing. Default 10 s. */
  readonly runLimitMs?: number;
  /** Resident memory that the process may take, in bytes. Default 8 GiB. */
  readonly memoryLimitBytes?: number;
  /** Module that the process runs; default the one beside this. */
  readonly entry?: URL;
}

const defaultRunLimitMs = 10_000;
const defaultMemoryLimitBytes = 8 * 1024 ** 3;
const memoryPollMs = 100;

/** How a trial process ended: with a report, or by our hand, or by itself without a word. */
type TrialEnd =
  | { readonly kind: 'passed'; readonly verdict: TrialPassed }
  | { readonly kind: 'refused'; readonly error: TroupeError }
  | { readonly kind: 'given_up'; readonly step: TrialStep; readonly why: string }
  | { readonly kind: 'died'; readonly step: TrialStep; readonly how: string };

/**
 * Scans, loads, runs and compares. Resolves with the verdict; rejects with the reason of the refusal: `model.not_onnx`,
 * `model.external_data`, `model.datatype_unsupported`, `model.input_unsupported`, `model.no_tensor_output`,
 * `model.runtime_unsupported`, `model.not_batchable`, `model.golden`, or `model.trial_failed` where the process died
 * or did not come to an end.
 */
export async function runTrial(options: TrialOptions): Promise<TrialVerdict> {
  const endsAtMs = performance.now() + (options.limitMs ?? defaults.loadLimitMs);
  let end = await tryOnce(options, endsAtMs, undefined);
  if (end.kind === 'given_up' && end.step.phase === 'made_up') {
    // Perhaps the made-up data asked for it: the model gets a second chance without, and is not merged.
    end = await tryOnce(options, endsAtMs, end.why);
  }
  switch (end.kind) {
    case 'passed': {
      const { kind: _, ...verdict } = end.verdict;
      return verdict;
    }
    case 'refused':
      throw end.error;
    case 'given_up':
      throw new TroupeError(
        end.step.phase === 'golden' ? 'model.golden' : 'model.trial_failed',
        `${end.step.what} ${end.why}`,
      );
    case 'died':
      throw new TroupeError('model.trial_failed', `the runtime process ended ${end.how} on ${end.step.what}`);
  }
}

async function tryOnce(
  options: TrialOptions,
  endsAtMs: number,
  withoutMadeUpRuns: string | undefined,
): Promise<TrialEnd> {
  const { device, intraOpThreads, modelPath, trial } = options;
  const order: TrialOrder = {
    parentPid: process.pid,
    modelPath,
    device,
    intraOpThreads,
    golden: trial.golden,
    batching: trial.batching,
    ...(withoutMadeUpRuns === undefined ? {} : { withoutMadeUpRuns }),
  };
  const child = fork(options.entry ?? entryUrl(import.meta.url, 'trial-main'), {
    env: childEnvironment({ ORT_DISABLE_TELEMETRY: '1', MALLOC_MMAP_THRESHOLD_: '131072' }),
    // In a session of its own: a terminal's Ctrl-C is for the host, and must not look like a crash of the model.
    detached: true,
    serialization: 'advanced', // golden cases of a caller in TypeScript may hold NaN and bigints
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'], // whatever the runtime prints is a stranger's text
  });
  const watch = new TrialWatch(child, options, endsAtMs);
  try {
    child.send(order, (error) => {
      if (error !== null) watch.end({ kind: 'died', step: watch.step, how: `(${error.message})` });
    });
    return await watch.ended;
  } finally {
    watch.stop();
    child.kill('SIGKILL');
  }
}

/** Follows one trial process to its end, and makes an end of it where time or memory run out. */
class TrialWatch {
  step: TrialStep = { kind: 'step', phase: 'load', what: 'the start' };
  readonly ended: Promise<TrialEnd>;
  readonly #options: TrialOptions;
  readonly #endsAtMs: number;
  readonly #memoryTimer: NodeJS.Timeout;
  #settle: (end: TrialEnd) => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess, options: TrialOptions, endsAtMs: number) {
    this.#options = options;
    this.#endsAtMs = endsAtMs;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#arm();
    this.#memoryTimer = setInterval(() => this.#checkMemory(child.pid), memoryPollMs);
    child.on('message', (report) => this.#receive(report as TrialReport));
    child.once('error', (error) => this.end({ kind: 'died', step: this.step, how: `(${error.message})` }));
    child.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      const died = () => this.end({ kind: 'died', step: this.step, how });
      // Its last report may still be in the channel.
      if (child.connected) child.once('disconnect', died);
      else died();
    });
  }

  end(end: TrialEnd): void {
    this.#settle(end);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#memoryTimer);
  }

  #receive(report: TrialReport): void {
    if (report.kind === 'step') {
      this.step = report;
      this.#arm();
      return;
    }
    this.end(
      report.kind === 'passed'
        ? { kind: 'passed', verdict: report }
        : { kind: 'refused', error: decodeError(report.error) },
    );
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const leftMs = this.#endsAtMs - performance.now();
    const runLimitMs = this.#options.runLimitMs ?? defaultRunLimitMs;
    const limitMs = this.step.phase === 'made_up' ? Math.min(runLimitMs, leftMs) : leftMs;
    const why =
      limitMs === leftMs
        ? `did not end within the limit of ${this.#options.limitMs ?? defaults.loadLimitMs} ms for the whole trial`
        : `took longer than ${runLimitMs} ms`;
    this.#timer = setTimeout(
      () => this.end({ kind: 'given_up', step: this.step, why }),
      Math.max(0, limitMs),
    );
  }

  #checkMemory(pid: number | undefined): void {
    if (pid === undefined) return;
    const limit = this.#options.memoryLimitBytes ?? defaultMemoryLimitBytes;
    readResidentBytes(pid).then(
      (bytes) => {
        if (bytes === undefined || bytes <= limit) return;
        this.end({ kind: 'given_up', step: this.step, why: `took more than ${limit} bytes of memory` });
      },
      () => undefined, // readResidentBytes does not reject
    );
  }
}
