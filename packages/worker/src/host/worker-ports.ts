/** What a worker machine needs from its host, and what it starts with. */
import type { Assignment, ModelVersion } from '@troupe/shared';
import type { CallbackActorLogic } from 'xstate';
import type { RunnerInput, RunnerOrderEvent, SiblingOrderEvent } from './worker-events.js';

/** Logic of a runner actor: starts the process, tells its fate to the parent; its stop kills the process. */
export type RunnerLogic = CallbackActorLogic<RunnerOrderEvent, RunnerInput>;

/** Logic of the sibling actor: keeps a warm worker of the standby version ready to cover; its stop lets go of it. */
export type SiblingLogic = CallbackActorLogic<SiblingOrderEvent, Assignment>;

/** Who is looked for to cover: not the versions that have failed at it. */
export interface StandbyWanted {
  readonly assignment: Assignment;
  readonly except: readonly number[];
}

/** What a worker needs from its host. */
export interface WorkerPorts {
  readonly runner: RunnerLogic;
  readonly sibling: SiblingLogic;
  /**
   * The next version that could cover for this one in a runner of its own: the last stable snapshot, the version that
   * stands by, the declared light variant; `undefined` where none is left.
   */
  findStandby(wanted: StandbyWanted, signal: AbortSignal): Promise<ModelVersion | undefined>;
  /** Remembers the version as the last stable one, durably. */
  recordStable(assignment: Assignment, signal: AbortSignal): Promise<void>;
  /** The machine's monotonic clock, in nanoseconds: only stamps, no waits. */
  nowNs(): bigint;
}

/** Settings of a worker, in milliseconds. */
export interface WorkerTimes {
  /** For each of the two steps: fetch, verify and load; warm-up and golden cases. */
  readonly loadLimitMs: number;
  readonly drainBoundMs: number;
}

export interface WorkerInput {
  readonly assignment: Assignment;
  readonly times: WorkerTimes;
}
