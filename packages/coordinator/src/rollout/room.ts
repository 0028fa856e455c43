/**
 * Whether the workers of a new version fit beside those of the old one: slots, and the memory budgets of devices where
 * they have some. Pure; asked once, before a rollout begins, so that it says so instead of standing still half-way.
 */
import {
  estimateMemory,
  type HostLease,
  type ModelRecord,
  type RegistrySnapshot,
  RolloutPhase,
  type RolloutRecord,
} from '@troupe/shared';
import { isOf, type ObservedHost, observeHosts } from '../control/observed-host.js';
import { planPlacement, wantedVersions } from '../control/placement-plan.js';
import { versionKey } from '../control/worker-key.js';

/** What is missing beside the old version, in plain words with figures; `undefined` where everything fits. Idle models give way. */
export function findMissingRoom(
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  model: ModelRecord,
  rollout: RolloutRecord,
): string | undefined {
  const hosts = observeHosts(leases, registry.hostSettings);
  const { from } = rollout;
  const old = from === undefined ? undefined : { model: model.name, version: from };
  const present = hosts.flatMap(({ workers }) =>
    workers.filter((worker) => old !== undefined && isOf(worker, old) && worker.state !== 'draining'),
  );
  const needed = Math.min(model.replicas, present.length);
  const { given, kept } = placesOf(registry, leases, model, rollout, needed);
  if (given >= needed && kept >= needed) return undefined;
  return (
    describeTightDevice(hosts, model, rollout) ??
    `${needed} slots are needed beside those of version ${from}, ${given} are free, of ${hosts.reduce((sum, host) => sum + host.slots, 0)} in all`
  );
}

/** Why the new version has no room even where the old one has gone; `undefined` where a first worker of it has. */
export function findMissingPlace(
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  model: ModelRecord,
  rollout: RolloutRecord,
): string | undefined {
  const without = leases.map((lease) => ({
    ...lease,
    report: {
      ...lease.report,
      workers: lease.report.workers.filter(
        (worker) => worker.model !== model.name || worker.version !== rollout.from,
      ),
    },
  }));
  if (placesOf(registry, without, model, { ...rollout, gap: true }, 1).given > 0) return undefined;
  const hosts = observeHosts(without, registry.hostSettings);
  return describeTightDevice(hosts, model, rollout) ?? 'no host has a slot for it';
}

/** How many workers of the new version would have a place, and how many of the old one would keep theirs. */
function placesOf(
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  model: ModelRecord,
  rollout: RolloutRecord,
  needed: number,
): { readonly given: number; readonly kept: number } {
  // All at once: what fits at once fits in waves.
  const settings = { ...rollout.settings, maxUnavailable: Math.max(1, needed) };
  const staged = { ...model, rollout: { ...rollout, phase: RolloutPhase.Staging, settings } };
  const models = { ...registry.models, [model.name]: staged };
  const placements = planPlacement(
    wantedVersions({ ...registry, models }),
    observeHosts(leases, registry.hostSettings),
    {
      refused: new Set(),
      cutOff: new Set(),
      models,
      // Who is idle is for the leader to say: for us everything that may give way does.
      residency: { nowMs: 0, idleMs: Infinity, usedAtMs: new Map(), askedAtMs: new Map() },
    },
  );
  const placementOf = (version: number | undefined) =>
    version === undefined ? undefined : placements.get(versionKey({ model: model.name, version }));
  const next = placementOf(rollout.to);
  return {
    given: (next?.targets.length ?? 0) + (next?.reserved ?? 0),
    kept: placementOf(rollout.from)?.targets.length ?? 0,
  };
}

/** The first device whose budget has no room for the new version beside what is there; those with the old one first. */
function describeTightDevice(
  hosts: readonly ObservedHost[],
  model: ModelRecord,
  { from, to }: RolloutRecord,
): string | undefined {
  const content = model.versions[String(to)];
  if (content === undefined) return undefined;
  const devices = hosts.flatMap((host) =>
    [...host.rooms].map(([device, room]) => ({
      device,
      host: host.name,
      room,
      hasOld: host.workers.some(
        (worker) =>
          worker.device === device &&
          from !== undefined &&
          isOf(worker, { model: model.name, version: from }),
      ),
    })),
  );
  for (const { device, host, room } of devices.sort((a, b) => Number(b.hasOld) - Number(a.hasOld))) {
    const need = estimateMemory(content, device);
    const free = Math.max(0, room.budgetBytes - room.takenBytes);
    if (need <= free) continue;
    return `on ${host} ${device} ${mebibytes(need)} are needed, ${mebibytes(free)} are free, of a budget of ${mebibytes(room.budgetBytes)}`;
  }
  return undefined;
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
