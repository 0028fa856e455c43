/** What a worker machine remembers between its states, and the questions that are asked of it. Pure. */
import type { Assignment, ModelVersion, Probation } from '@troupe/shared';
import type { Condemnation } from './probation.js';
import type { WorkerInput, WorkerTimes } from './worker-ports.js';

export interface WorkerContext {
  readonly assignment: Assignment;
  readonly times: WorkerTimes;
  readonly credits: number;
  /** The leader wants it to serve; remembered while it loads. */
  readonly activated: boolean;
  readonly servedElsewhere: boolean;
  /** Runners that died since the worker was assigned. */
  readonly crashes: number;
  /** Deaths that the version is to blame for, since its last minute of health. */
  readonly recentCrashes: number;
  /** Tries of the assigned version in fallback since the last minute of health. */
  readonly retries: number;
  /** While a rollout of the version is under way. */
  readonly probation: Probation | undefined;
  /** Deaths on this probation. */
  readonly probationCrashes: number;
  readonly condemned: Condemnation | undefined;
  /** It has served its version before. */
  readonly hasServed: boolean;
  /** Why it is not serving its version. */
  readonly reason: string | undefined;
  /** The version that covers, or will. */
  readonly standby: ModelVersion | undefined;
  /** Versions that could not be made to cover, since the last rest. */
  readonly failedStandbys: readonly number[];
  /** The version of the sibling that covers. */
  readonly sibling: ModelVersion | undefined;
  /** Whether the child was told to pull and has not ended: what it holds must be finished. */
  readonly runnerPulls: boolean;
  readonly standbyPulls: boolean;
}

/** Before anything has happened. */
export function startContext(input: WorkerInput): WorkerContext {
  return {
    assignment: input.assignment,
    times: input.times,
    credits: input.assignment.credits,
    activated: false,
    servedElsewhere: false,
    crashes: 0,
    recentCrashes: 0,
    retries: 0,
    probation: input.assignment.probation,
    probationCrashes: 0,
    condemned: undefined,
    hasServed: false,
    reason: undefined,
    standby: undefined,
    failedStandbys: [],
    sibling: undefined,
    runnerPulls: false,
    standbyPulls: false,
  };
}

/** Whether somebody is to pull the assigned version's queue in its place. */
export function mustCover({ condemned: verdict, servedElsewhere }: WorkerContext): boolean {
  return verdict !== undefined || !servedElsewhere;
}

export function condemned(verdict: Condemnation): Pick<WorkerContext, 'condemned' | 'probation'> {
  return { condemned: verdict, probation: undefined };
}
