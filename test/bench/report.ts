/** What `--json` writes: a suite's outcome with what it was run on. Wire format. */
import type { Machine } from './machine.js';
import type { Sample, SuiteOutcome } from './outcome.js';

export interface Report extends SuiteOutcome {
  readonly suite: string;
  readonly machine: Machine;
  readonly intraOpThreads: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
}

/** In a report's place, of a suite that failed or was stopped. */
export interface UnfinishedReport extends Pick<Report, 'suite' | 'machine' | 'startedAt'> {
  readonly unfinished: string;
  /** Until then; suites of other than plain load have none before they end. */
  readonly samples: readonly Sample[];
}
