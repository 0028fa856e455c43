/**
 * What becomes of a rollout that is to begin where the two versions do not fit together: it goes on with a worker less, or
 * with a gap, where that is allowed, and is refused with what is short otherwise. Pure; called by the door.
 */
import {
  type HostLease,
  type ModelRecord,
  type RegistrySnapshot,
  RolloutStrategy,
  TroupeError,
} from '@troupe/shared';
import type { DecisionMoment, RolloutDecision } from './rollout-decision.js';
import { startWithGap } from './rollout-orders.js';
import { findMissingPlace, findMissingRoom } from './room.js';

/** The beginning as it is to be written. Throws `rollout.no_room`. */
export function fitIn(
  model: ModelRecord,
  decision: RolloutDecision,
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  { at }: DecisionMoment,
): RolloutDecision {
  const { rollout } = decision.change;
  const { from, settings, to } = rollout;
  const missing = findMissingRoom(registry, leases, model, rollout);
  if (missing === undefined) return decision;
  const refuse = (advice: string) =>
    new TroupeError(
      'rollout.no_room',
      `version ${to} of ${model.name} does not fit beside version ${from}: ${missing}; ${advice}`,
    );
  const others = leases
    .flatMap(({ report }) => report.workers)
    .filter(
      (worker) => worker.model === model.name && worker.version === from && worker.state === 'serving',
    ).length;
  if (settings.maxUnavailable > 0 && others > 1) return decision;
  if (!settings.allowGap) {
    const gap = '--allow-gap (its requests wait in the queue meanwhile)';
    throw refuse(
      others > 1
        ? `make room, or go on with --max-unavailable 1 or ${gap}`
        : `make room (version ${from} has ${others} worker, and nobody would serve meanwhile), or go on with ${gap}`,
    );
  }
  if (settings.strategy !== RolloutStrategy.Immediate) {
    throw refuse(`with a gap no two versions share the traffic: go on with --strategy immediate`);
  }
  const label = Object.entries(model.labels).find(([name, version]) => name !== 'stable' && version === from);
  if (label !== undefined) {
    throw refuse(`the label ${label[0]} keeps version ${from}, which would have to go: move the label first`);
  }
  const place = findMissingPlace(registry, leases, model, rollout);
  if (place !== undefined) throw refuse(`nor would it with version ${from} gone: ${place}`);
  return startWithGap(model, decision, missing, at);
}
