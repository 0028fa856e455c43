/**
 * A steady load from a process of its own, so that what the drill does meanwhile does not count as latency. The drill
 * orders, the process reports; when the drill dies, so does it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';

/** Drill → load. Each is answered by one report. */
export type LoadOrder =
  | {
      readonly kind: 'open';
      readonly servers: string;
      readonly namespace: string;
      readonly model: string;
      readonly deadlineMs: number;
      /** Share of requests that spring a trap, in tenths. */
      readonly trapShare: number;
    }
  | { readonly kind: 'version'; readonly version: number; readonly factor: number }
  | { readonly kind: 'capacity'; readonly inFlight: number; readonly forMs: number }
  | { readonly kind: 'pace'; readonly ratePerSecond: number }
  | { readonly kind: 'end'; readonly path: string };

/** Load → drill. */
export type LoadReport =
  | { readonly kind: 'done' }
  | { readonly kind: 'capacity'; readonly ratePerSecond: number }
  | { readonly kind: 'ended'; readonly sent: number; readonly faults: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string };

/** What came of all requests; times on the machine's monotonic clock, in milliseconds. */
export interface LoadResults {
  readonly count: number;
  readonly startMs: Float64Array;
  readonly endMs: Float64Array;
  readonly versions: Int32Array;
  /** 0 open, 1 right, 2 wrong, 3 failed, 4 right but degraded. */
  readonly outcomes: Uint8Array;
  readonly right: number;
  readonly degraded: number;
  readonly wrong: number;
  readonly failed: number;
  /** Asked, and never answered in any way. */
  readonly lost: number;
  readonly faults: readonly string[];
}

export interface SteadyLoad {
  /** Answers of this version must be input × factor. Tell it before the version may answer. */
  addVersion(version: number, factor: number): Promise<void>;
  /** Requests a second that the cluster answers with so many open at once. */
  measureCapacity(inFlight: number, forMs: number): Promise<number>;
  /** Asks at this rate from now on; 0 pauses. */
  pace(ratePerSecond: number): Promise<void>;
  /** Waits for what is open, and reads the results. */
  end(): Promise<LoadResults>;
  /** For `finally`: ends the process. */
  kill(): void;
}

export interface SteadyLoadOptions {
  readonly servers: string;
  readonly namespace: string;
  readonly model: string;
  readonly deadlineMs: number;
  readonly trapShare: number;
}

/** The machine's monotonic clock, the same in every process, in milliseconds. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Starts the process; it asks nothing yet. */
export async function startSteadyLoad(options: SteadyLoadOptions): Promise<SteadyLoad> {
  const folder = temporaryDirectory('load');
  const child = fork(new URL('./steady-load-main.ts', import.meta.url), {
    execArgv: ['--import', 'tsx', '--conditions=@troupe/source'],
  });
  let turn: Promise<unknown> = Promise.resolve();

  function order<K extends LoadReport['kind']>(
    message: LoadOrder,
    kind: K,
  ): Promise<Extract<LoadReport, { kind: K }>> {
    const asked = turn.then(() => exchange(child, message, kind));
    turn = asked.catch(() => undefined);
    return asked;
  }

  try {
    await order({ kind: 'open', ...options }, 'done');
  } catch (error) {
    child.kill('SIGKILL');
    removeDirectory(folder);
    throw error;
  }
  return {
    async addVersion(version, factor) {
      await order({ kind: 'version', version, factor }, 'done');
    },
    async measureCapacity(inFlight, forMs) {
      return (await order({ kind: 'capacity', inFlight, forMs }, 'capacity')).ratePerSecond;
    },
    async pace(ratePerSecond) {
      await order({ kind: 'pace', ratePerSecond }, 'done');
    },
    async end() {
      const path = join(folder, 'results.bin');
      const { sent, faults } = await order({ kind: 'end', path }, 'ended');
      const results = readResults(readFileSync(path), sent, faults);
      removeDirectory(folder);
      return results;
    },
    kill() {
      child.kill('SIGKILL');
      removeDirectory(folder);
    },
  };
}

function exchange<K extends LoadReport['kind']>(
  child: ChildProcess,
  order: LoadOrder,
  kind: K,
): Promise<Extract<LoadReport, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const clean = () => {
      child.off('message', onReport);
      child.off('exit', onExit);
    };
    const onExit = () => {
      clean();
      reject(new Error('the process that makes the load has ended'));
    };
    const onReport = (report: LoadReport) => {
      clean();
      if (report.kind === kind) resolve(report as Extract<LoadReport, { kind: K }>);
      else
        reject(
          new Error(report.kind === 'failed' ? report.message : `load: ${report.kind} for ${order.kind}`),
        );
    };
    child.once('message', onReport);
    child.once('exit', onExit);
    if (child.exitCode !== null || child.signalCode !== null) onExit();
    else child.send(order);
  });
}

function readResults(file: Buffer, count: number, faults: readonly string[]): LoadResults {
  const bytes = new Uint8Array(file); // aligned, unlike a pooled buffer
  const at = (offset: number, length: number) => bytes.slice(offset, offset + length).buffer;
  const startMs = new Float64Array(at(0, 8 * count));
  const endMs = new Float64Array(at(8 * count, 8 * count));
  const versions = new Int32Array(at(16 * count, 4 * count));
  const outcomes = new Uint8Array(at(20 * count, count));
  const of = (outcome: number) => outcomes.reduce((sum, one) => sum + Number(one === outcome), 0);
  const [lost, right, wrong, failed, degraded] = [0, 1, 2, 3, 4].map(of) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { count, startMs, endMs, versions, outcomes, right, degraded, wrong, failed, lost, faults };
}
