/**
 * Whether the workers of a new version fit beside those of the old one: slots, and the memory budgets of devices where
 * they have some. Pure; asked once, before a rollout begins, so that it says so instead of standing still half-way.
 */
import {
  chargeMemory,
  estimateMemory,
  type HostLease,
  type ModelRecord,
  type RegistrySnapshot,
  RolloutPhase,
  type RolloutRecord,
} from '@troupe/shared';
import { observeHosts } from '../control/observed-host.js';
import { planPlacement, wantedVersions } from '../control/placement-plan.js';
import { versionKey } from '../control/worker-key.js';

/** What is missing, in plain words with figures; `undefined` where everything fits. */
export function findMissingRoom(
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  model: ModelRecord,
  rollout: RolloutRecord,
): string | undefined {
  const staged = { ...model, rollout: { ...rollout, phase: RolloutPhase.Staging } };
  const after = { ...registry, models: { ...registry.models, [model.name]: staged } };
  const hosts = observeHosts(leases, registry.hostSettings);
  const placements = planPlacement(wantedVersions(after), hosts, { refused: new Set(), cutOff: new Set() });
  const placesOf = (version: number | undefined) =>
    version === undefined ? undefined : placements.get(versionKey({ model: model.name, version }));
  const next = placesOf(rollout.to);
  const needed = Math.min(model.replicas, placesOf(rollout.from)?.targets.length ?? 0);
  const given = next?.targets.length ?? 0;
  if (given < needed) {
    const slots = hosts.reduce((sum, host) => sum + host.slots, 0);
    return `${needed} slots are needed beside those of version ${rollout.from}, ${given} are free, of ${slots} in all`;
  }
  const content = model.versions[String(rollout.to)];
  for (const { device, existing, host } of next?.targets ?? []) {
    const report = leases.find((lease) => lease.host === host)?.report;
    const budget = report?.devices.find(({ name }) => name === device)?.memoryBudgetBytes;
    if (budget === undefined || content === undefined || existing !== undefined) continue;
    const used = (report?.workers ?? [])
      .filter((worker) => worker.device === device)
      .reduce((sum, worker) => sum + chargeOf(registry, worker), 0);
    const need = estimateMemory(content, device);
    const free = Math.max(0, budget - used);
    if (need > free) {
      return `on ${host} ${device} ${mebibytes(need)} are needed, ${mebibytes(free)} are free, of a budget of ${mebibytes(budget)}`;
    }
  }
  return undefined;
}

function chargeOf(registry: RegistrySnapshot, worker: HostLease['report']['workers'][number]): number {
  if (worker.memoryChargedBytes !== undefined) return worker.memoryChargedBytes;
  const content = registry.models[worker.model]?.versions[String(worker.version)];
  const estimate = content === undefined ? 0 : estimateMemory(content, worker.device);
  return chargeMemory(estimate, worker.memoryBytes);
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
