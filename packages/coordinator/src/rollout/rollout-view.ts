/** What the leader sees of one rollout: from the hosts' reports and the plan's places. Pure. */
import {
  type HostLease,
  isActiveRollout,
  type ModelRecord,
  RolloutPhase,
  type RolloutRecord,
  type WorkerReport,
} from '@troupe/shared';
import { answersItself } from '../control/observed-host.js';
import type { Placement } from '../control/placement-plan.js';
import { versionKey, workerKey } from '../control/worker-key.js';
import type { RolloutView, WorkerVerdict } from './rollout-step.js';

/** Workers of the new version, and what their hosts say against it. */
export function viewWorkers(
  model: ModelRecord,
  rollout: RolloutRecord,
  seen: {
    readonly hosts: readonly HostLease[];
    readonly placements: ReadonlyMap<string, Placement>;
    readonly cutOff: ReadonlySet<string>;
  },
): Pick<RolloutView, 'needed' | 'ready' | 'verdicts'> {
  const ref = { model: model.name, version: rollout.to };
  const verdicts: WorkerVerdict[] = [];
  let ready = 0;
  for (const { host, report } of seen.hosts) {
    for (const worker of report.workers) {
      if (worker.model !== ref.model || worker.version !== ref.version) continue;
      const verdict = verdictOf(worker, isActiveRollout(rollout));
      if (verdict !== undefined) verdicts.push({ host, device: worker.device, ...verdict });
      const cut = seen.cutOff.has(workerKey({ host, device: worker.device }, ref));
      if (answersItself(worker) && !cut && !report.stopping) ready += 1;
    }
  }
  return { needed: neededWorkers(model, rollout, seen.placements), ready, verdicts };
}

/** As many as have a place; none while there are fewer places than the version before has. */
function neededWorkers(
  model: ModelRecord,
  { from, phase, settings, to }: RolloutRecord,
  placements: ReadonlyMap<string, Placement>,
): number {
  const placed = (version: number | undefined) =>
    version === undefined
      ? 0
      : (placements.get(versionKey({ model: model.name, version }))?.targets.length ?? 0);
  const places = placed(to);
  // Where both do not fit, as many as may be missing of the version before; the others come while it bakes.
  const squeezed = settings.maxUnavailable > 0 && phase !== RolloutPhase.Baking;
  const bound = squeezed ? settings.maxUnavailable : Number.POSITIVE_INFINITY;
  return places >= Math.min(model.replicas, placed(from), bound) ? places : 0;
}

/** A verdict of its host; while the rollout goes on also that it gave the version up for a snapshot or for nothing. */
function verdictOf(worker: WorkerReport, active: boolean): Pick<WorkerVerdict, 'kind' | 'cause'> | undefined {
  const { condemned } = worker;
  if (condemned !== undefined) {
    return condemned.kind === 'order' ? undefined : { kind: condemned.kind, cause: condemned.cause };
  }
  if (!active || worker.state !== 'fallback') return undefined;
  return {
    kind: worker.crashes > 0 ? 'crash' : 'candidate',
    cause: worker.reason ?? 'it cannot be served there',
  };
}
