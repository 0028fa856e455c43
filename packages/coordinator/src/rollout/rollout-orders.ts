/**
 * What an admin's order does to a rollout: start, pause, resume, abort, roll back. Pure deciders over the model's record;
 * each throws what the caller should see. Called by the doors, of any coordinator; the leader goes on from the record.
 */
import {
  EventKind,
  isActiveRollout,
  type ModelRecord,
  type ModelVersion,
  RollbackCause,
  RolloutPhase,
  type RolloutRecord,
  type RolloutSettings,
  RolloutStrategy,
  type Signature,
  TroupeError,
} from '@troupe/shared';
import {
  type DecisionMoment,
  loadedAnew,
  type RolloutDecision,
  spanOf,
  takeStep,
} from './rollout-decision.js';
import { takeBack } from './rollout-step.js';

/** Goes on although the versions do not fit together: `missing` says what is short. */
export function startWithGap(
  model: Pick<ModelRecord, 'name'>,
  { change: { rollout } }: RolloutDecision,
  missing: string,
  at: string,
): RolloutDecision {
  const text = `it does not fit beside version ${rollout.from} (${missing}): version ${rollout.from} finishes what it holds and goes first, requests wait in the queue of version ${rollout.to}`;
  return takeStep(model, rollout, { kind: EventKind.RolloutStarted, text, fields: { gap: true } }, at);
}

/** Begins a rollout; `undefined` where the version is stable already. */
export function startRollout(
  model: ModelRecord,
  to: number,
  settings: RolloutSettings,
  { actor, at }: DecisionMoment,
): RolloutDecision | undefined {
  const { name, rollout: before } = model;
  const target = requireVersion(model, to);
  if (isActiveRollout(before)) {
    throw new TroupeError(
      'rollout.active',
      `a rollout of ${name} to version ${before.to} is under way: wait for its end, or end it with troupe rollout abort ${name}`,
    );
  }
  if (target.condemned !== undefined) {
    throw new TroupeError(
      'rollout.condemned',
      `version ${to} of ${name} was condemned (${target.condemned.cause}): troupe models retry ${name} ${to} lifts that`,
    );
  }
  const from = model.labels.stable;
  const standby = from === undefined ? undefined : model.versions[String(from)];
  if (from === undefined || standby === undefined) {
    throw new TroupeError(
      'rollout.no_stable',
      `model ${name} has no stable version that could stand by: troupe models label ${name} stable ${to} puts version ${to} live at once`,
    );
  }
  if (from === to) return undefined;
  const change = describeSignatureChange(standby.signature, target.signature);
  if (change !== undefined && !settings.allowSignatureChange) {
    throw new TroupeError(
      'rollout.signature',
      `version ${to} of ${name} has another signature than stable version ${from}: ${change}; callers may fail (--allow-signature-change lets it through)`,
    );
  }
  const rollout: RolloutRecord = {
    number: (before?.number ?? 0) + 1,
    from,
    to,
    settings,
    phase: RolloutPhase.Staging,
    stepIndex: 0,
    paused: false,
    startedAt: at,
    phaseAt: at,
    actor,
    story: [],
  };
  const text = `version ${to} is to take over from version ${from} (${describePlan(settings)}), asked for by ${actor}`;
  return takeStep(model, rollout, { kind: EventKind.RolloutStarted, text }, at);
}

/** Holds a rollout where it is; evidence and verdicts still take it back. `undefined` where it is paused already. */
export function pauseRollout(model: ModelRecord, { actor, at }: DecisionMoment): RolloutDecision | undefined {
  const rollout = requireActive(model);
  if (rollout.paused) return undefined;
  const step = { kind: EventKind.RolloutPaused, text: `paused by ${actor}`, fields: { paused: true } };
  return takeStep(model, rollout, step, at);
}

/** Lets it go on; the time held before the pause counts. `undefined` where it is not paused. */
export function resumeRollout(
  model: ModelRecord,
  { actor, at }: DecisionMoment,
): RolloutDecision | undefined {
  const rollout = requireActive(model);
  if (!rollout.paused) return undefined;
  const step = { kind: EventKind.RolloutResumed, text: `resumed by ${actor}`, fields: { paused: false } };
  return takeStep(model, rollout, step, at);
}

/** Gives a rollout up without blaming its version. */
export function abortRollout(model: ModelRecord, { actor, at }: DecisionMoment): RolloutDecision {
  const rollout = requireActive(model);
  const text = `aborted by ${actor}: version ${rollout.from} is stable${loadedAnew(rollout)}, version ${rollout.to} may be rolled out again`;
  return takeStep(
    model,
    rollout,
    {
      kind: EventKind.RolloutAborted,
      text,
      fields: { phase: RolloutPhase.Aborted, paused: false },
      // Only the bake has moved the label; what somebody else did to it meanwhile is his.
      ...(rollout.phase === RolloutPhase.Baking && rollout.from !== undefined
        ? { stable: rollout.from }
        : {}),
    },
    at,
  );
}

/**
 * Takes the version back that a rollout brings, or the stable one where none is under way, and condemns it. `target`:
 * where to go back to; left out, what was stable before.
 */
export function rollBack(
  model: ModelRecord,
  target: number | undefined,
  { actor, at }: DecisionMoment,
): RolloutDecision {
  const { name, rollout } = model;
  if (target !== undefined) requireVersion(model, target);
  const active = isActiveRollout(rollout);
  const bad = active ? rollout.to : model.labels.stable;
  if (bad === undefined) {
    throw new TroupeError('rollout.no_stable', `model ${name} has no stable version to take back`);
  }
  const before = rollout !== undefined && rollout.to === bad ? rollout.from : undefined;
  const back = target ?? before ?? (active ? undefined : previousVersion(model, bad));
  if (back === undefined || back === bad) {
    throw new TroupeError(
      'rollout.no_stable',
      `there is no version of ${name} to go back to from version ${bad}: name one with --to <version>`,
    );
  }
  const content = requireVersion(model, back);
  if (content.condemned !== undefined) {
    throw new TroupeError(
      'rollout.condemned',
      `version ${back} of ${name} was condemned (${content.condemned.cause}): name another one with --to <version>, or lift that with troupe models retry ${name} ${back}`,
    );
  }
  const cause = { kind: RollbackCause.Admin, text: `ordered by ${actor}` };
  const record: RolloutRecord =
    rollout !== undefined && rollout.to === bad
      ? withoutGapTo(rollout, back)
      : {
          number: (rollout?.number ?? 0) + 1,
          from: back,
          to: bad,
          settings: rollout?.settings ?? plainSettings,
          phase: RolloutPhase.Promoted,
          stepIndex: 0,
          paused: false,
          startedAt: at,
          phaseAt: at,
          actor,
          story: [],
        };
  return takeBack(model, record, undefined, cause, at);
}

/** The record on the way back; of a gap only where it leads to the version that gave its place. */
function withoutGapTo(rollout: RolloutRecord, back: number): RolloutRecord {
  const { gap, ...rest } = rollout;
  return { ...rest, ...(gap === true && isActiveRollout(rollout) ? { gap } : {}), from: back };
}

/** Of a version that came live without a rollout. */
const plainSettings: RolloutSettings = {
  strategy: RolloutStrategy.Immediate,
  steps: [],
  bakeMs: 0,
  maxUnavailable: 0,
  maxCrashes: 0,
  allowGap: false,
  allowSignatureChange: false,
};

/** The newest version below that nobody condemned. */
function previousVersion(model: ModelRecord, below: number): number | undefined {
  return Object.values(model.versions)
    .filter(({ version, condemned }) => version < below && condemned === undefined)
    .reduce<number | undefined>((best, { version }) => Math.max(best ?? 0, version), undefined);
}

function requireActive(model: ModelRecord): RolloutRecord {
  if (isActiveRollout(model.rollout)) return model.rollout;
  throw new TroupeError('rollout.none', `no rollout of ${model.name} is under way`);
}

function requireVersion(model: ModelRecord, version: number): ModelVersion {
  const found = model.versions[String(version)];
  if (found !== undefined) return found;
  throw new TroupeError('model.version_unknown', `model ${model.name} has no version ${version}`);
}

function describePlan({ bakeMs, steps, strategy }: RolloutSettings): string {
  const bake = bakeMs === 0 ? 'no bake time' : `bake time ${spanOf(bakeMs)}`;
  if (strategy === RolloutStrategy.Shadow) return `shadow for ${spanOf(bakeMs)}: loaded without traffic`;
  if (strategy === RolloutStrategy.Immediate) return `immediate, ${bake}`;
  const shares = steps.map(({ holdMs, percent }) =>
    holdMs === 0 ? `${percent} %` : `${percent} % for ${spanOf(holdMs)}`,
  );
  return `canary: ${shares.join(', ')}; ${bake}`;
}

/** What a caller of the one signature would meet in the other; `undefined` where they are equal, in whatever order. */
export function describeSignatureChange(stable: Signature, next: Signature): string | undefined {
  for (const side of ['inputs', 'outputs'] as const) {
    const noun = side.slice(0, -1);
    const others = new Map(next[side].map((spec) => [spec.name, spec]));
    for (const spec of stable[side]) {
      const other = others.get(spec.name);
      if (other === undefined) return `${noun} ${spec.name} is gone`;
      others.delete(spec.name);
      if (other.datatype !== spec.datatype)
        return `${noun} ${spec.name} is ${other.datatype} instead of ${spec.datatype}`;
      const [is, was] = [describeShape(other.shape), describeShape(spec.shape)];
      if (is !== was) return `${noun} ${spec.name} has shape ${is} instead of ${was}`;
    }
    const [added] = others.keys();
    if (added !== undefined) return `${noun} ${added} is new`;
  }
  return undefined;
}

function describeShape(shape: readonly number[] | undefined): string {
  return shape === undefined ? 'unknown' : `[${shape.join(',')}]`;
}
