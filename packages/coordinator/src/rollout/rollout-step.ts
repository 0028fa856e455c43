/**
 * The next step of a rollout that is under way, from the stored record and what the leader sees. Pure; called by the
 * driver at every turn of the control loop, and by nobody else.
 *
 * R1  Each step is one registry write: phase, label and verdict change together or not at all.
 * R2  A time is held in full by the leader that ends it: a successor counts the present step anew.
 * R3  Nothing moves forward while a wanted worker of the new version does not serve, nor while the rollout is paused; it
 *     is taken back in either case.
 * R4  A version is taken back once: what is rolled back or aborted has no next step.
 */
import {
  EventKind,
  isActiveRollout,
  type ModelRecord,
  RollbackCause,
  type RolloutEvidence,
  RolloutPhase,
  type RolloutRecord,
  RolloutStrategy,
} from '@troupe/shared';
import { countOf, loadedAnew, type RolloutDecision, spanOf, takeStep } from './rollout-decision.js';

/** A host's word that the new version is no good there. */
export interface WorkerVerdict {
  readonly host: string;
  readonly device: string;
  readonly kind: 'candidate' | 'crash';
  readonly cause: string;
}

/** What the leader sees of a rollout. */
export interface RolloutView {
  /** Workers of the new version that must serve before it goes on; 0 while none has a place. */
  readonly needed: number;
  /** Those that serve the new version itself. */
  readonly ready: number;
  readonly verdicts: readonly WorkerVerdict[];
  /** What live evidence says against it, in words; `crash` where its requests failed since its runners died. */
  readonly finding: { readonly kind: 'evidence' | 'crash'; readonly text: string } | undefined;
  readonly evidence: RolloutEvidence;
  /** For how long the present step has been held by this leader, pauses left out, in milliseconds. */
  readonly heldMs: number;
}

/** The next step, or `undefined` where there is nothing to do yet. */
export function decideStep(model: ModelRecord, view: RolloutView, at: string): RolloutDecision | undefined {
  const { rollout } = model;
  if (rollout === undefined) return undefined;
  const [verdict] = view.verdicts;
  if (!isActiveRollout(rollout)) {
    // Condemned by its host in the very moment that it was promoted: it still has somewhere to go back to.
    const late = rollout.phase === RolloutPhase.Promoted && model.labels.stable === rollout.to;
    if (!late || verdict === undefined || !canGoBack(model, rollout)) return undefined;
    return takeBack(model, rollout, view, causeOf(verdict), at);
  }
  const expected = rollout.phase === RolloutPhase.Baking ? rollout.to : rollout.from;
  if (model.labels.stable !== expected) {
    const text = `given up: the label stable was moved by hand to ${describeVersion(model.labels.stable)}`;
    const fields = { phase: RolloutPhase.Aborted };
    return takeStep(model, rollout, { kind: EventKind.RolloutAborted, text, fields }, at);
  }
  if (verdict !== undefined) return takeBack(model, rollout, view, causeOf(verdict), at);
  if (view.finding !== undefined && rollout.phase !== RolloutPhase.Staging) {
    return takeBack(model, rollout, view, view.finding, at);
  }
  if (rollout.paused || view.needed === 0 || view.ready < view.needed) return undefined;
  switch (rollout.phase) {
    case RolloutPhase.Canary:
      return view.heldMs < holdMsOf(rollout)
        ? undefined
        : enterStep(model, rollout, rollout.stepIndex + 1, view, at);
    case RolloutPhase.Baking:
      return view.heldMs < holdMsOf(rollout) ? undefined : promote(model, rollout, at);
    default:
      return leaveStaging(model, rollout, view, at);
  }
}

/** For how long the present step is held once all is ready, in milliseconds. */
export function holdMsOf({ phase, settings, stepIndex }: RolloutRecord): number {
  if (phase === RolloutPhase.Canary) return settings.steps[stepIndex]?.holdMs ?? 0;
  const bakes = phase === RolloutPhase.Baking || settings.strategy === RolloutStrategy.Shadow;
  return bakes ? settings.bakeMs : 0;
}

function leaveStaging(
  model: ModelRecord,
  rollout: RolloutRecord,
  view: RolloutView,
  at: string,
): RolloutDecision | undefined {
  if (rollout.settings.strategy !== RolloutStrategy.Shadow) return enterStep(model, rollout, 0, view, at);
  if (view.heldMs < holdMsOf(rollout)) return undefined;
  const text = `version ${rollout.to} loaded, passed its gate and stayed up beside version ${rollout.from}, without traffic; this puts it live: troupe rollout start ${model.name} ${rollout.to} --strategy immediate`;
  const fields = { phase: RolloutPhase.Promoted };
  return takeStep(model, rollout, { kind: EventKind.RolloutPromoted, text, fields }, at);
}

/**
 * The canary step of this index; behind the last one, or at 100 % without a time of its own, all traffic goes over, and so it
 * does where nobody else could have the rest.
 */
function enterStep(
  model: ModelRecord,
  rollout: RolloutRecord,
  stepIndex: number,
  view: RolloutView,
  at: string,
): RolloutDecision {
  const step = rollout.settings.steps[stepIndex];
  const before =
    rollout.phase === RolloutPhase.Staging
      ? `${countOf(view.ready, 'worker')} of version ${rollout.to} loaded and passed the gate`
      : `nothing was found against version ${rollout.to}`;
  if (rollout.gap === true || step === undefined || (step.percent === 100 && step.holdMs === 0))
    return handOver(model, rollout, before, view, at);
  const text = `${before}: ${step.percent} % of the traffic goes to it for ${spanOf(step.holdMs)}`;
  const fields = { phase: RolloutPhase.Canary, stepIndex };
  return takeStep(model, rollout, { kind: EventKind.RolloutStep, text, fields }, at);
}

function handOver(
  model: ModelRecord,
  rollout: RolloutRecord,
  before: string,
  view: RolloutView,
  at: string,
): RolloutDecision {
  const { bakeMs } = rollout.settings;
  const baseline = view.evidence.stable;
  if (bakeMs === 0) {
    const after = rollout.gap === true ? 'has gone' : 'retires';
    const text = `${before}: all traffic goes to it, without a bake time; version ${rollout.from} ${after}`;
    const fields = { phase: RolloutPhase.Promoted, stepIndex: 0, baseline };
    return takeStep(
      model,
      rollout,
      { kind: EventKind.RolloutPromoted, text, fields, stable: rollout.to },
      at,
    );
  }
  const standby =
    rollout.gap === true
      ? `it is watched for ${spanOf(bakeMs)}; version ${rollout.from} has gone, and nobody stands by`
      : `version ${rollout.from} stands by for ${spanOf(bakeMs)}`;
  const text = `${before}: all traffic goes to it; ${standby}`;
  const fields = { phase: RolloutPhase.Baking, stepIndex: 0, baseline };
  return takeStep(model, rollout, { kind: EventKind.RolloutStep, text, fields, stable: rollout.to }, at);
}

function promote(model: ModelRecord, rollout: RolloutRecord, at: string): RolloutDecision {
  const held = spanOf(rollout.settings.bakeMs);
  const after = rollout.gap === true ? '' : `; version ${rollout.from} retires`;
  const text = `nothing was found against version ${rollout.to} in ${held}: it is promoted${after}`;
  const fields = { phase: RolloutPhase.Promoted };
  return takeStep(model, rollout, { kind: EventKind.RolloutPromoted, text, fields }, at);
}

/** Back to the version before: one write that moves the label, condemns the version and says why. */
export function takeBack(
  model: ModelRecord,
  rollout: RolloutRecord,
  view: Pick<RolloutView, 'evidence'> | undefined,
  cause: NonNullable<RolloutRecord['cause']>,
  at: string,
): RolloutDecision {
  const { from, to } = rollout;
  const text = `version ${to} is taken back, ${describeVersion(from)} is stable${loadedAnew(rollout)}: ${cause.text}`;
  return takeStep(
    model,
    rollout,
    {
      kind: EventKind.RolloutRolledBack,
      text,
      fields: {
        phase: RolloutPhase.RolledBack,
        paused: false,
        cause,
        ...(view === undefined ? {} : { evidence: view.evidence }),
      },
      ...(from === undefined ? {} : { stable: from }),
      condemn: { version: to, cause: cause.text },
    },
    at,
  );
}

function causeOf({ host, device, kind, cause }: WorkerVerdict): NonNullable<RolloutRecord['cause']> {
  const text = `on ${host} ${device}: ${cause}`;
  return { kind: kind === 'crash' ? RollbackCause.Crash : RollbackCause.Candidate, text };
}

function canGoBack(model: ModelRecord, { from }: RolloutRecord): boolean {
  const content = from === undefined ? undefined : model.versions[String(from)];
  return content !== undefined && content.condemned === undefined;
}

function describeVersion(version: number | undefined): string {
  return version === undefined ? 'no version' : `version ${version}`;
}
