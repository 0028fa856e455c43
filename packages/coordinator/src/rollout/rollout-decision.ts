/**
 * What a decider of rollouts gives: the record as it is to be written, and the event that tells of it. Here is how a
 * step is put into a record, for all deciders alike; writing it is the driver's and the door's. Pure.
 */
import {
  type EventKind,
  type ModelRecord,
  type RolloutChange,
  type RolloutRecord,
  storyLines,
} from '@troupe/shared';

/** When, by the coordinator's clock, and on whose word. */
export interface DecisionMoment {
  /** ISO 8601. */
  readonly at: string;
  readonly actor: string;
}

export interface RolloutDecision {
  readonly change: RolloutChange;
  readonly event: {
    readonly kind: EventKind;
    readonly text: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
}

/** A step of the rollout of `model`: the fields that change, the line of the story, and what goes with it. */
export function takeStep(
  model: Pick<ModelRecord, 'name'>,
  rollout: RolloutRecord,
  step: {
    readonly kind: EventKind;
    readonly text: string;
    readonly fields?: Partial<RolloutRecord>;
    readonly stable?: number;
    readonly condemn?: { readonly version: number; readonly cause: string };
  },
  at: string,
): RolloutDecision {
  const fields = step.fields ?? {};
  const moved = fields.phase !== undefined || fields.stepIndex !== undefined;
  const next: RolloutRecord = {
    ...rollout,
    ...(moved ? { phaseAt: at } : {}),
    ...fields,
    story: [...rollout.story, { at, text: step.text }].slice(-storyLines),
  };
  return {
    change: {
      rollout: next,
      ...(step.stable === undefined ? {} : { stable: step.stable }),
      ...(step.condemn === undefined ? {} : { condemn: { ...step.condemn, at } }),
    },
    event: {
      kind: step.kind,
      text: `rollout of ${model.name}: ${step.text}`,
      data: {
        model: model.name,
        rollout: next.number,
        from: next.from,
        to: next.to,
        phase: next.phase,
        stepIndex: next.stepIndex,
        ...(next.cause === undefined ? {} : { cause: next.cause.kind, reason: next.cause.text }),
        ...(next.evidence === undefined ? {} : { evidence: next.evidence }),
      },
    },
  };
}

/** What else is to be said of the version that a rollout with a gap goes back to: it has no worker any more. */
export function loadedAnew({ gap }: Pick<RolloutRecord, 'gap'>): string {
  return gap === true ? ' (it is loaded again, requests wait meanwhile)' : '';
}

/** `2 workers`, `1 worker`. */
export function countOf(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}

/** `60 s`, `5 min`, `300 ms`. */
export function spanOf(ms: number): string {
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms >= 1_000 && ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
}
