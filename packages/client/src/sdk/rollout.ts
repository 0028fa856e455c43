/** Rollouts as a client asks for them and sees them: options, the answer, and how both are checked. */
import { isActiveRollout, type RolloutRecord, type RolloutSettings, TroupeError } from '@troupe/shared';
import type { WorkerSummary } from './cluster-answers.js';
import { assertOptionNames } from './connect-options.js';

/** How a rollout goes about it; what is left out takes the cluster's default. */
export interface RolloutOptions {
  /**
   * `immediate` (the default): all traffic as soon as every worker of the new version is warm, a quarter for the first
   * 500 ms. `canary` (the default where steps are given): step by step. `shadow`: loaded and gated beside stable,
   * without traffic; `stable` does not move.
   */
  readonly strategy?: RolloutSettings['strategy'];
  /** Canary steps; default 5 % and 25 % for a minute each, then all. */
  readonly steps?: RolloutSettings['steps'];
  /** How long the old version stands by after the new one got all traffic, in milliseconds. Default 300,000; 0: not at all. */
  readonly bakeMs?: number;
  /** Workers of the old version that may be missing while new ones load, where both do not fit. Default 0. */
  readonly maxUnavailable?: number;
  /** Deaths of runners on one worker that are borne. Default 3. */
  readonly maxCrashes?: number;
  /**
   * Go on where the new version neither fits beside the old one nor may take a worker's place (`maxUnavailable`): the old
   * one goes first, and requests wait in the queue until the new one serves. With `immediate` only. Default false.
   */
  readonly allowGap?: boolean;
  /** Let a version through that takes or gives other tensors than stable. Default false. */
  readonly allowSignatureChange?: boolean;
}

const optionNames = [
  'strategy',
  'steps',
  'bakeMs',
  'maxUnavailable',
  'maxCrashes',
  'allowGap',
  'allowSignatureChange',
];

/** The rollout of a model that is under way, or its last one. */
export interface RolloutStatus {
  readonly model: string;
  /** The version that bears the label `stable`. */
  readonly stable?: number;
  /** Whether the call changed anything: a version that is stable already is not rolled out. */
  readonly changed: boolean;
  readonly rollout?: RolloutRecord;
  /** Whether it goes on. */
  readonly active: boolean;
  /** Workers of the two versions. */
  readonly workers: readonly Pick<
    WorkerSummary,
    'host' | 'version' | 'device' | 'state' | 'reason' | 'condemned'
  >[];
}

/** The options as arguments of the call. Throws `request.arguments` for a name that is not known; values are checked by the cluster. */
export function rolloutArguments(options: RolloutOptions): Readonly<Record<string, unknown>> {
  assertOptionNames('startRollout', options, optionNames);
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Throws `answer.malformed`. */
export function parseRolloutStatus(answer: unknown): RolloutStatus {
  const { changed, model, rollout, stable, workers } = (answer ?? {}) as Record<string, unknown>;
  if (typeof model !== 'string' || !Array.isArray(workers)) {
    throw new TroupeError(
      'answer.malformed',
      "the cluster's answer about a rollout is not what this client knows: are both of one version?",
    );
  }
  const record = (rollout ?? undefined) as RolloutRecord | undefined;
  return {
    model,
    ...(typeof stable === 'number' ? { stable } : {}),
    changed: changed === true,
    ...(record === undefined ? {} : { rollout: record }),
    active: isActiveRollout(record),
    workers: workers as RolloutStatus['workers'],
  };
}
