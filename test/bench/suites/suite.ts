/** What a suite is, and what it works with. */
import type { Progress } from '../../../deploy/local/progress.mjs';
import { removeDirectory, temporaryDirectory } from '../../harness/server-process.js';
import { type BenchModel, layModels, type ModelName, type ModelSource } from '../bench-model.js';
import type { Contestant, Owned, RunningContestant, Stage } from '../contestants/contestant.js';
import { type BenchCluster, startBenchCluster } from '../contestants/troupe-cluster.js';
import type { Sample, SuiteOutcome } from '../outcome.js';

export interface SuiteContext {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** For tests: windows so short that their figures mean nothing; the answers and the form are what counts. */
  readonly short: boolean;
  /** In place of a suite's own. */
  readonly rounds?: number | undefined;
  readonly windowMs?: number | undefined;
  readonly models?: readonly ModelName[] | undefined;
  /** Told of samples as soon as they are there: a suite that is ended has not measured for nothing. */
  readonly measured?: ((samples: readonly Sample[]) => void) | undefined;
}

export interface Suite {
  readonly name: string;
  readonly text: string;
  /** About how long it takes on two cores, in seconds. */
  readonly seconds: number;
  run(context: SuiteContext): Promise<SuiteOutcome>;
}

/** Threads of one run, for every contestant: with more of them, two cores would be fought for by run, broker and load generator. */
export const intraOpThreads = 1;

export interface OpenStage extends Stage {
  readonly folder: string;
  /** Starts a contestant; ended with the stage. */
  start(contestant: Contestant): Promise<RunningContestant>;
}

/** Lays the models down, runs the work, and ends everything that it has started. */
export async function withStage<T>(
  { progress, signal }: Pick<SuiteContext, 'progress' | 'signal'>,
  sources: readonly ModelSource[],
  work: (stage: OpenStage) => Promise<T>,
): Promise<T> {
  const folder = temporaryDirectory('bench');
  const owned: Owned[] = [];
  let cluster: Promise<BenchCluster> | undefined;
  const own = <S extends Owned>(thing: S): S => {
    owned.push(thing);
    return thing;
  };
  try {
    const models: BenchModel[] = await progress.step('Writing models and their answers', () =>
      layModels(folder, sources),
    );
    const stage: OpenStage = {
      folder,
      models,
      intraOpThreads,
      progress,
      own,
      cluster() {
        cluster ??= progress.step('Starting a cluster', () => startBenchCluster(intraOpThreads)).then(own);
        return cluster;
      },
      start: async (contestant) =>
        own(await progress.step(`Starting ${contestant.name}`, () => contestant.start(stage))),
    };
    return await untilStopped(signal, () => work(stage));
  } catch (error) {
    // Why it failed is known to processes that are gone in a moment.
    if (!signal.aborted) for (const thing of owned) process.stderr.write(thing.logs?.() ?? '');
    throw error;
  } finally {
    for (const thing of owned.reverse()) await thing.stop();
    removeDirectory(folder);
  }
}

/** The work's outcome, or a rejection as soon as somebody asks for the end. */
function untilStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error(`stopped by ${String(signal.reason)}`));
    if (signal.aborted) {
      stop();
      return;
    }
    signal.addEventListener('abort', stop, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}
