/**
 * Drives the rollouts of one term as leader: looks at each that is under way, decides by `rollout-step.ts`, and writes
 * what was decided, guarded by epoch and revision: of two leaders, or of a leader and an admin, one wins, and the other
 * looks again. Called by the reconcile loop at every turn; it sends no commands and publishes no routes.
 */
import {
  asTroupeError,
  type EventKind,
  type HostLease,
  isActiveRollout,
  type Log,
  type ModelRecord,
  type RegistrySnapshot,
  type RegistryStore,
  RolloutPhase,
  type RolloutRecord,
} from '@troupe/shared';
import type { Placement } from '../control/placement-plan.js';
import { type EvidenceVerdict, judgeEvidence, type LatencySuspicion } from './evidence.js';
import { createFigureTally, type FigureTally } from './figure-tally.js';
import { countOf } from './rollout-decision.js';
import { decideStep, holdMsOf, type RolloutView } from './rollout-step.js';
import { viewWorkers } from './rollout-view.js';
import { createStepClock } from './step-clock.js';

export interface RolloutDriverOptions {
  readonly registry: RegistryStore;
  /** For the audit: `coordinator/<name>`. */
  readonly actor: string;
  readonly now: () => number;
  readonly emit: (kind: EventKind, text: string, data: Readonly<Record<string, unknown>>) => void;
  readonly log: Log;
}

/** What a turn of the loop sees. */
export interface RolloutSurroundings {
  readonly snapshot: RegistrySnapshot;
  readonly hosts: readonly HostLease[];
  /** Of the last plan that was made. */
  readonly placements: ReadonlyMap<string, Placement>;
  readonly cutOff: ReadonlySet<string>;
  readonly epoch: number;
}

export interface RolloutDriver {
  /** Takes every step that is due; true where the registry was changed. Rejects where Redis is away or we lead no more. */
  turn(surroundings: RolloutSurroundings): Promise<boolean>;
  /** When it wants the next turn, in milliseconds from the last one on: a step is due by then, or traffic is watched. */
  readonly dueInMs: number;
}

/** Figures since the phase began. */
interface Phase {
  readonly key: string;
  readonly tally: FigureTally;
  suspicion: LatencySuspicion | undefined;
}

/** Requests that failed while runners died: the deaths are the cause, and the requests what shows it. */
function findingOf(
  { by, text }: Extract<EvidenceVerdict, { readonly kind: 'bad' }>,
  crashes: number,
): NonNullable<RolloutView['finding']> {
  if (by === 'latency' || crashes === 0) return { kind: 'evidence', text };
  return { kind: 'crash', text: `${countOf(crashes, 'runner')} of it died, and ${text}` };
}

/** While a version on trial has traffic: what it does badly, callers wait for. */
const watchEveryMs = 100;

const noFigures = { requests: 0, errors: 0 };
const noEvidence = { candidate: noFigures, stable: noFigures, crashes: 0 };

/** Creates the driver of one term. */
export function createRolloutDriver(options: RolloutDriverOptions): RolloutDriver {
  const { registry, actor, emit, log } = options;
  const clock = createStepClock(options.now);
  const phases = new Map<string, Phase>();
  let dueInMs = Number.POSITIVE_INFINITY;

  function phaseOf(model: ModelRecord, rollout: RolloutRecord): Phase {
    const key = `${rollout.number}/${rollout.phase}`;
    const known = phases.get(model.name);
    if (known?.key === key) return known;
    const { from, to } = rollout;
    const phase = { key, tally: createFigureTally({ model: model.name, from, to }), suspicion: undefined };
    phases.set(model.name, phase);
    return phase;
  }

  function look(model: ModelRecord, rollout: RolloutRecord, seen: RolloutSurroundings): RolloutView {
    const workers = viewWorkers(model, rollout, seen);
    if (!isActiveRollout(rollout)) return { ...workers, finding: undefined, evidence: noEvidence, heldMs: 0 };
    const phase = phaseOf(model, rollout);
    phase.tally.observe(seen.hosts);
    const [candidate, stable] = [phase.tally.candidate(), phase.tally.stable()];
    // In the bake the old version has no traffic: it is measured by what it was just before.
    const measure = rollout.phase === RolloutPhase.Baking ? (rollout.baseline ?? stable) : stable;
    const crashes = phase.tally.crashes();
    const judged = judgeEvidence(candidate, { ...measure, errors: 0 }, phase.suspicion);
    phase.suspicion = judged.kind === 'suspect' ? judged.suspicion : undefined;
    const staged = rollout.phase === RolloutPhase.Staging && workers.ready >= workers.needed;
    const step = `${phase.key}/${rollout.stepIndex}/${staged}`;
    return {
      ...workers,
      finding: judged.kind === 'bad' ? findingOf(judged, crashes) : undefined,
      evidence: { candidate, stable: measure, crashes },
      heldMs: clock.heldMs(model.name, step, rollout.paused),
    };
  }

  function noteDue(rollout: RolloutRecord, { heldMs }: RolloutView): void {
    if (!isActiveRollout(rollout)) return;
    if (rollout.phase !== RolloutPhase.Staging) dueInMs = Math.min(dueInMs, watchEveryMs);
    const leftMs = holdMsOf(rollout) - heldMs;
    if (!rollout.paused && leftMs > 0) dueInMs = Math.min(dueInMs, leftMs);
  }

  /** True where the record has changed, by us or by somebody else. */
  async function advance(model: ModelRecord, seen: RolloutSurroundings): Promise<boolean> {
    if (model.rollout === undefined) return false;
    const view = look(model, model.rollout, seen);
    const decision = decideStep(model, view, new Date().toISOString());
    if (decision === undefined) {
      noteDue(model.rollout, view);
      return false;
    }
    const { kind, text, data } = decision.event;
    try {
      await registry.changeRollout(model.name, decision.change, {
        actor,
        epoch: seen.epoch,
        expectedRevision: model.revision,
      });
    } catch (thrown) {
      const error = asTroupeError(thrown);
      if (error.reason !== 'registry.conflict' && error.reason !== 'model.unknown') throw error;
      log.debug({ model: model.name }, 'somebody else changed the model first: it is looked at again');
      return true;
    }
    log.info({ model: model.name, step: text }, 'rollout');
    emit(kind, text, data);
    return true;
  }

  return {
    get dueInMs() {
      return dueInMs;
    },
    async turn(seen) {
      dueInMs = Number.POSITIVE_INFINITY;
      // A promoted one is looked at, too, while its workers are on probation still: see `decideStep`.
      const models = Object.values(seen.snapshot.models).filter(
        ({ rollout }) => isActiveRollout(rollout) || rollout?.phase === RolloutPhase.Promoted,
      );
      const names = new Set(models.map(({ name }) => name));
      clock.keep(names);
      for (const name of phases.keys()) if (!names.has(name)) phases.delete(name);
      let changed = false;
      for (const model of models) changed = (await advance(model, seen)) || changed;
      return changed;
    },
  };
}
