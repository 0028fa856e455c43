/** What a rollout makes of the versions of its model: which are wanted by it, and in which part. Pure; for the planner. */
import {
  isActiveRollout,
  type ModelRecord,
  type Probation,
  RolloutPhase,
  type RouteVersion,
} from '@troupe/shared';

/** The part of a version in a rollout that is under way. */
export interface RolloutRole {
  /**
   * `candidate`: not stable yet, so it takes no place from anybody; `baking`: stable, and still on probation; `standby`:
   * the version before, which gives its place up first while the new one bakes. Before that it is simply stable.
   */
  readonly part: 'candidate' | 'baking' | 'standby';
  /** The version whose devices are the best places. */
  readonly beside: number | undefined;
  /** For workers that are assigned now; absent for the standby. */
  readonly probation: Probation | undefined;
  /** Workers that may load at once. */
  readonly waveSize: number;
  /** Workers that may be missing where both versions do not fit. */
  readonly maxUnavailable: number;
}

/** Whether a rollout is under way whose two versions do not fit together: then only the new one is wanted. */
export function isInGap({ rollout }: ModelRecord): boolean {
  return isActiveRollout(rollout) && rollout.gap === true;
}

/** Versions that a rollout wants beside those that labels name. */
export function rolloutVersions({ rollout }: ModelRecord): number[] {
  if (!isActiveRollout(rollout)) return [];
  if (rollout.gap === true) return [rollout.to];
  return rollout.from === undefined ? [rollout.to] : [rollout.from, rollout.to];
}

/** The version whose place another one takes, so that nobody wants it although labels may name it still. */
export function givenUpVersion(model: ModelRecord): number | undefined {
  return isInGap(model) ? model.rollout?.from : undefined;
}

/**
 * Whether requests wait for a version without a place until the other one of its rollout has gone: the new one in a gap, the
 * old one on the way back.
 */
export function waitsForPlace({ labels, rollout }: ModelRecord, version: number): boolean {
  if (rollout === undefined) return false;
  if (isActiveRollout(rollout)) return rollout.gap === true && version === rollout.to;
  const isBack = rollout.phase === RolloutPhase.RolledBack || rollout.gap === true;
  return isBack && version === rollout.from && labels.stable === version;
}

/** The part of a version; `undefined` where a rollout changes nothing for it. */
export function rolloutRole(model: ModelRecord, version: number): RolloutRole | undefined {
  const { rollout } = model;
  if (!isActiveRollout(rollout)) return undefined;
  const { from, settings, to } = rollout;
  const { maxUnavailable } = settings;
  const waveSize = Math.max(1, maxUnavailable);
  const baking = rollout.phase === RolloutPhase.Baking;
  if (version === to) {
    const standby = from === undefined ? undefined : model.versions[String(from)];
    const alone = rollout.gap === true ? { alone: true } : {};
    const probation =
      standby === undefined ? undefined : { standby, ...alone, maxCrashes: settings.maxCrashes };
    return { part: baking ? 'baking' : 'candidate', beside: from, probation, waveSize, maxUnavailable };
  }
  if (version !== from || !baking) return undefined;
  return { part: 'standby', beside: to, probation: undefined, waveSize, maxUnavailable };
}

/** The version that a finished rollout condemned: the route goes on saying why it cannot be had. */
export function condemnedByRollout(model: ModelRecord): number | undefined {
  const { rollout } = model;
  if (rollout?.phase !== RolloutPhase.RolledBack) return undefined;
  return model.versions[String(rollout.to)]?.condemned === undefined ? undefined : rollout.to;
}

/**
 * Shares by the workers that serve, while a version bakes whose last workers can only come when those of the version before
 * go; `undefined` otherwise.
 */
export function bakingWeights(
  { replicas, rollout }: ModelRecord,
  versions: Readonly<Record<string, Pick<RouteVersion, 'serving'>>>,
): readonly { readonly version: number; readonly weight: number }[] | undefined {
  if (!isActiveRollout(rollout) || rollout.phase !== RolloutPhase.Baking) return undefined;
  const { from, settings, to } = rollout;
  const servingOf = (version: number) => versions[String(version)]?.serving ?? 0;
  if (settings.maxUnavailable === 0 || from === undefined || servingOf(to) >= replicas) return undefined;
  const weights = [from, to].map((version) => ({ version, weight: servingOf(version) }));
  return weights.every(({ weight }) => weight > 0) ? weights : undefined;
}

/** Canary shares by version; `undefined` while all traffic goes where `stable` leads. */
export function canaryWeights({
  rollout,
}: ModelRecord): readonly { readonly version: number; readonly weight: number }[] | undefined {
  if (!isActiveRollout(rollout) || rollout.phase !== RolloutPhase.Canary) return undefined;
  const percent = rollout.settings.steps[rollout.stepIndex]?.percent ?? 0;
  const { from, to } = rollout;
  // The share of the new version grows from one end, so that a sticky key that went over stays.
  const weights = [
    ...(from === undefined ? [] : [{ version: from, weight: 100 - percent }]),
    { version: to, weight: percent },
  ];
  return weights.filter(({ weight }) => weight > 0);
}
