/**
 * A rollout: the way of one version to `stable`, and back where it fails. Stored in the model's record (wire format), so
 * that a coordinator that takes over goes on where the last one stopped.
 *
 * `staging` → (`canary`) → `baking` → `promoted`; from each of the first three also `rolled_back` (by itself or by an
 * admin, the version is condemned) or `aborted` (an admin gave up a rollout that had nothing wrong: not condemned).
 */

export const RolloutStrategy = {
  /** All traffic, but for a first moment at a quarter, as soon as every wanted worker of the new version is warm. */
  Immediate: 'immediate',
  /** Step by step, each step held for its time. */
  Canary: 'canary',
  /** Loaded and gated beside stable, without traffic of its own; ends without moving `stable`. */
  Shadow: 'shadow',
} as const;
export type RolloutStrategy = (typeof RolloutStrategy)[keyof typeof RolloutStrategy];

export const RolloutPhase = {
  /** Workers of the new version load, warm and pass the gate beside those of stable. */
  Staging: 'staging',
  /** A share of the traffic goes to the new version, `steps[stepIndex]`: in a canary, and in the first moment of an immediate one. */
  Canary: 'canary',
  /** `stable` names the new version; the old one stands by. */
  Baking: 'baking',
  Promoted: 'promoted',
  RolledBack: 'rolled_back',
  Aborted: 'aborted',
} as const;
export type RolloutPhase = (typeof RolloutPhase)[keyof typeof RolloutPhase];

/** One canary step. */
export interface RolloutStep {
  /** Share of the requests without version or label, 1 to 100. */
  readonly percent: number;
  /** How long it is held, in milliseconds; 0 for the last step of 100 %, which the bake follows. */
  readonly holdMs: number;
}

/** How a rollout goes about it. */
export interface RolloutSettings {
  readonly strategy: RolloutStrategy;
  /** Empty for `shadow`. */
  readonly steps: readonly RolloutStep[];
  /** How long the old version stands by after the new one got all traffic, in milliseconds; 0: not at all. */
  readonly bakeMs: number;
  /** Workers of the old version that may be taken away before new ones serve, where both do not fit. */
  readonly maxUnavailable: number;
  /** Deaths of runners on one worker, in canary and bake, after which the next one condemns the version. */
  readonly maxCrashes: number;
  /** Go on where neither a second worker fits nor a worker may be missing: requests wait in the queue. */
  readonly allowGap: boolean;
  readonly allowSignatureChange: boolean;
}

/** Why a version was taken back. */
export const RollbackCause = {
  /** It could not be fetched, verified, loaded or warmed, or failed the gate. */
  Candidate: 'candidate',
  Crash: 'crash',
  /** Error ratio or p99 against stable, live. */
  Evidence: 'evidence',
  Admin: 'admin',
} as const;
export type RollbackCause = (typeof RollbackCause)[keyof typeof RollbackCause];

/** Figures of one version over all its workers. */
export interface VersionFigures {
  readonly requests: number;
  /** Requests whose run failed and that stable answered: the version's own fault. */
  readonly errors: number;
  readonly p99Ms?: number;
  /** Requests behind the p99. */
  readonly samples?: number;
}

/** What a rollback stands on. */
export interface RolloutEvidence {
  readonly candidate: VersionFigures;
  readonly stable: VersionFigures;
  readonly crashes: number;
}

/** One line of the story that `rollout status` tells. */
export interface RolloutNote {
  /** ISO 8601, the coordinator's clock. */
  readonly at: string;
  readonly text: string;
}

/** The rollout of a model that is under way, or the last one. */
export interface RolloutRecord {
  /** Grows with every rollout of the model. */
  readonly number: number;
  /** Stable when it began; absent where there was none. */
  readonly from?: number;
  readonly to: number;
  readonly settings: RolloutSettings;
  readonly phase: RolloutPhase;
  /** Of the canary; 0 elsewhere. */
  readonly stepIndex: number;
  readonly paused: boolean;
  /**
   * The two versions do not fit together: the old one's workers go before those of the new one load, and requests wait in
   * the new one's queue. Nobody stands by. Decided as it begins, by `allowGap`.
   */
  readonly gap?: boolean;
  readonly startedAt: string;
  readonly phaseAt: string;
  /** Who asked for it. */
  readonly actor: string;
  /** Stable's figures just before the new version got all traffic: what the bake is compared with. */
  readonly baseline?: VersionFigures;
  readonly cause?: { readonly kind: RollbackCause; readonly text: string };
  readonly evidence?: RolloutEvidence;
  /** Oldest first; the last 50. */
  readonly story: readonly RolloutNote[];
}

/** A rollout that still has something to do. */
export interface ActiveRollout extends RolloutRecord {
  readonly phase: typeof RolloutPhase.Staging | typeof RolloutPhase.Canary | typeof RolloutPhase.Baking;
}

/** Whether a rollout still has something to do. */
export function isActiveRollout(rollout: RolloutRecord | undefined): rollout is ActiveRollout {
  return (
    rollout !== undefined &&
    (rollout.phase === RolloutPhase.Staging ||
      rollout.phase === RolloutPhase.Canary ||
      rollout.phase === RolloutPhase.Baking)
  );
}

/** Lines of the story that are kept. */
export const storyLines = 50;
