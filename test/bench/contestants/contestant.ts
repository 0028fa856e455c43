/** What a contestant is to the suites: something that is started, measured in turn with the others, and ended. */
import type { Progress } from '../../../deploy/local/progress.mjs';
import type { BenchModel } from '../bench-model.js';
import type { LoadOrder, LoadResult } from '../closed-loop.js';
import type { BenchCluster } from './troupe-cluster.js';

/** Something that a stage has started. */
export interface Owned {
  stop(): Promise<unknown>;
  /** What its processes have printed: shown where the stage's work fails. */
  logs?(): string;
}

/** What all contestants share while a suite runs. */
export interface Stage {
  readonly models: readonly BenchModel[];
  /** The same for every contestant. */
  readonly intraOpThreads: number;
  readonly progress: Progress;
  /** The cluster of the Troupe contestants, started when first asked for. */
  cluster(): Promise<BenchCluster>;
  /** Ended with the stage, the newest first. */
  own<T extends Owned>(thing: T): T;
}

export interface Contestant {
  readonly name: string;
  /** Why it is configured as it is: the best that could be found for it. */
  readonly why: string;
  start(stage: Stage): Promise<RunningContestant>;
}

export interface RunningContestant {
  measure(model: BenchModel, order: LoadOrder): Promise<LoadResult>;
  stop(): Promise<void>;
}
