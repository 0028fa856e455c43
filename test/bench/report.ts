/** What `--json` writes: a suite's outcome with what it was run on. Wire format. */
import type { Machine } from './machine.js';
import type { SuiteOutcome } from './outcome.js';

export interface Report extends SuiteOutcome {
  readonly suite: string;
  readonly machine: Machine;
  readonly intraOpThreads: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
}
