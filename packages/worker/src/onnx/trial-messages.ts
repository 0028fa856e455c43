/** Messages between the caller of a trial and the throw-away process that does it. Of one build: no wire format. */
import type { BatchSettings, GoldenCase, Signature, WireError } from '@troupe/shared';

/** The only message to the process. */
export interface TrialOrder {
  /** Of the caller: the trial ends when it does. */
  readonly parentPid: number;
  readonly modelPath: string;
  readonly device: string;
  readonly intraOpThreads: number;
  readonly golden: readonly GoldenCase[];
  readonly batching: Partial<BatchSettings>;
  /** Leave out the runs on made-up data, for this reason: an earlier process did not survive them or took too long. */
  readonly withoutMadeUpRuns?: string;
}

/**
 * What the process is about to do; the last one before its death is what it died of. `made_up` steps have a time
 * bound of their own and condemn nothing when they pass it.
 */
export interface TrialStep {
  readonly kind: 'step';
  /** In plain words, to follow 'on' or 'in': `loading the model`, `the first run`. */
  readonly what: string;
  readonly phase: 'load' | 'made_up' | 'golden' | 'end';
}

export interface TrialPassed {
  readonly kind: 'passed';
  readonly signature: Signature;
  readonly batchable: boolean;
  readonly batchableReason?: string;
  readonly batching: BatchSettings;
  readonly memoryBytes?: number;
}

export type TrialReport = TrialStep | TrialPassed | { readonly kind: 'refused'; readonly error: WireError };

/**
 * How every `batchableReason` begins that says that runs on made-up data do not end or do not work; a runner's
 * warm-up leaves them out then.
 */
export const madeUpRunFault = 'trial run';
