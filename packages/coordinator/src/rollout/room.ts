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

/** What is missing, in plain words with figures; `undefined` where everything fits. Idle models give way. */
export function findMissingRoom(
  registry: RegistrySnapshot,
  leases: readonly HostLease[],
  model: ModelRecord,
  rollout: RolloutRecord,
): string | undefined {
  const hosts = observeHosts(leases, registry.hostSettings);
  const { from, to } = rollout;
  const old = from === undefined ? undefined : { model: model.name, version: from };
  const present = hosts.flatMap(({ workers }) =>
    workers.filter((worker) => old !== undefined && isOf(worker, old) && worker.state !== 'draining'),
  );
  const needed = Math.min(model.replicas, present.length);
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
  const placesOf = (version: number | undefined) =>
    version === undefined ? undefined : placements.get(versionKey({ model: model.name, version }));
  const next = placesOf(to);
  const given = (next?.targets.length ?? 0) + (next?.reserved ?? 0);
  if (given >= needed && (placesOf(from)?.targets.length ?? 0) >= needed) return undefined;
  return (
    describeTightDevice(hosts, model, rollout) ??
    `${needed} slots are needed beside those of version ${from}, ${given} are free, of ${hosts.reduce((sum, host) => sum + host.slots, 0)} in all`
  );
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
