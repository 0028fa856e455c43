/**
 * Rollouts whose new workers have no room beside the old ones, and that may do with fewer meanwhile (`maxUnavailable`): how
 * many workers of the version before stay. Pure; for the planner, which places anew with what comes out.
 */
import type { Placement, WantedVersion } from '../control/placement-plan.js';
import { versionKey } from '../control/worker-key.js';

/** What is wanted with the squeezed versions cut down; `undefined` where nobody has to do with less. */
export function squeezeWanted(
  wanted: ReadonlyMap<string, WantedVersion>,
  placements: ReadonlyMap<string, Placement>,
): Map<string, WantedVersion> | undefined {
  let squeezed: Map<string, WantedVersion> | undefined;
  for (const { targets, wanted: next } of placements.values()) {
    const { beside, maxUnavailable = 0, part } = next.role ?? {};
    if (part !== 'candidate' || maxUnavailable === 0 || beside === undefined) continue;
    const key = versionKey({ model: next.model, version: beside });
    const before = wanted.get(key);
    const placed = placements.get(key)?.targets.length ?? 0;
    if (before === undefined || targets.length >= placed) continue;
    squeezed ??= new Map(wanted);
    squeezed.set(key, { ...before, replicas: keptWorkers(before.replicas, maxUnavailable) });
  }
  return squeezed;
}

/** Workers of the version before that stay: one at least, which serves meanwhile. */
export function keptWorkers(replicas: number, maxUnavailable: number): number {
  return Math.min(replicas, Math.max(1, replicas - maxUnavailable));
}
