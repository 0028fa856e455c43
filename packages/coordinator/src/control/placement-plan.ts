/**
 * Where the workers of wanted versions should be: pure, deterministic, and with as little movement as the rules
 * allow. Called by `plan.ts`; it sends nothing and knows no clock.
 *
 * Rules, in this order: never more workers than slots (P1); a version never twice on one device (P2); nothing new on a
 * stopping host (P3); everyone gets a first worker before anyone gets a second (P4); spread over hosts, then
 * devices (P5); a worker that is well placed stays (P6); what a rollout brings, or keeps as its standby, has its places
 * after everything else, beside the version that it replaces (P7).
 */
import type { ModelVersion, RegistrySnapshot, WorkerReport } from '@troupe/shared';
import { type RolloutRole, rolloutRole, rolloutVersions } from '../rollout/rollout-roles.js';
import { answers, compareText, isOf, type ObservedHost } from './observed-host.js';
import { type Position, versionKey, workerKey } from './worker-key.js';

/** A version that should have workers: a label or a rollout names it and nobody condemned it. */
export interface WantedVersion {
  readonly model: string;
  readonly version: number;
  readonly content: ModelVersion;
  readonly replicas: number;
  /** Its part in the rollout of its model, where one is under way. */
  readonly role: RolloutRole | undefined;
}

/** One place of the target. `existing` is the worker that is there already. */
export interface TargetWorker extends Position {
  readonly existing: WorkerReport | undefined;
}

/** What a wanted version gets. */
export interface Placement {
  readonly wanted: WantedVersion;
  readonly targets: readonly TargetWorker[];
  /** Why fewer than wanted; `undefined` where all have a place. */
  readonly shortage: string | undefined;
}

/** What the leader knows beyond reports, as it touches placement. */
export interface PlacementContext {
  /** Worker keys that a host refused lately: not tried again for a while. */
  readonly refused: ReadonlySet<string>;
  /** Worker keys whose runner has been without NATS for a lease TTL: taken only where nothing else is left. */
  readonly cutOff: ReadonlySet<string>;
}

/** Versions that want workers, by key, in a fixed order. */
export function wantedVersions(registry: RegistrySnapshot): Map<string, WantedVersion> {
  const wanted = new Map<string, WantedVersion>();
  for (const name of Object.keys(registry.models).sort(compareText)) {
    const model = registry.models[name];
    if (model === undefined) continue;
    const named = [...Object.values(model.labels), ...rolloutVersions(model)];
    const versions = [...new Set(named)].sort((a, b) => a - b);
    for (const version of versions) {
      const content = model.versions[String(version)];
      if (content === undefined || content.condemned !== undefined) continue;
      const role = rolloutRole(model, version);
      const entry = { model: name, version, content, replicas: model.replicas, role };
      wanted.set(versionKey(entry), entry);
    }
  }
  return wanted;
}

/** Gives every wanted version its places; changes `taken` and `committed` of the hosts as it goes. */
export function planPlacement(
  wanted: ReadonlyMap<string, WantedVersion>,
  hosts: readonly ObservedHost[],
  context: PlacementContext,
): Map<string, Placement> {
  const drafts = [...wanted.values()]
    .map((version) => ({
      wanted: version,
      targets: [] as TargetWorker[],
      // What a stopping host takes away is replaced before anything else gets a slot.
      losing: hosts.some((host) => host.stopping && host.workers.some((worker) => isOf(worker, version))),
    }))
    .sort((a, b) => Number(b.losing) - Number(a.losing)); // stable: ties keep the order of names
  const isLast = ({ role }: WantedVersion) => role?.part === 'candidate' || role?.part === 'standby';
  for (const group of [
    drafts.filter((draft) => !isLast(draft.wanted)),
    drafts.filter((draft) => isLast(draft.wanted)), // P7
  ]) {
    const rounds = Math.max(0, ...group.map((draft) => draft.wanted.replicas));
    for (let round = 0; round < rounds; round += 1) {
      for (const draft of group) {
        if (draft.wanted.replicas <= round || draft.targets.length < round) continue;
        const best = bestCandidate(draft.wanted, draft.targets, hosts, context);
        if (best === undefined) continue;
        best.owner.committed += 1;
        if (best.target.existing === undefined) best.owner.taken += 1;
        draft.targets.push(best.target);
      }
    }
  }
  return new Map(
    drafts.map(({ wanted: version, targets }) => [
      versionKey(version),
      { wanted: version, targets, shortage: describeShortage(version, targets.length, hosts) },
    ]),
  );
}

interface Candidate {
  readonly owner: ObservedHost;
  readonly target: TargetWorker;
  /** Compared from the left, less is better; see P5 and P6. */
  readonly rank: readonly number[];
}

function bestCandidate(
  wanted: WantedVersion,
  chosen: readonly TargetWorker[],
  hosts: readonly ObservedHost[],
  context: PlacementContext,
): Candidate | undefined {
  let best: Candidate | undefined;
  for (const candidate of candidates(wanted, chosen, hosts, context)) {
    if (best === undefined || compareRanks(candidate, best) < 0) best = candidate;
  }
  return best;
}

function* candidates(
  wanted: WantedVersion,
  chosen: readonly TargetWorker[],
  hosts: readonly ObservedHost[],
  context: PlacementContext,
): Generator<Candidate> {
  for (const owner of hosts) {
    if (owner.stopping || owner.committed >= owner.slots) continue;
    const here = chosen.filter((target) => target.host === owner.name);
    for (const device of owner.devices) {
      if (here.some((target) => target.device === device)) continue;
      const position = { host: owner.name, device };
      const key = workerKey(position, wanted);
      const existing = owner.workers.find((worker) => worker.device === device && isOf(worker, wanted));
      if (existing === undefined) {
        if (owner.taken >= owner.slots || context.refused.has(key)) continue;
      } else if (existing.state === 'draining' || isOutdated(existing, wanted)) continue; // its place is free once it is gone
      const lost = existing !== undefined && context.cutOff.has(key);
      const spread = here.length;
      const preference = existing === undefined ? 2 : answers(existing) ? 0 : 1;
      const rank = [
        lost ? 1 : 0,
        spread,
        preference,
        existing === undefined ? distance(wanted, owner, device) : 0,
        deviceRank(device),
        owner.slots === 0 ? 1 : owner.taken / owner.slots,
        owner.workers.filter((worker) => worker.device === device).length,
      ];
      yield { owner, target: { ...position, existing }, rank };
    }
  }
}

/** A worker that its host condemned before the verdict on its version was lifted: it never serves again. */
export function isOutdated(worker: WorkerReport, wanted: WantedVersion): boolean {
  return worker.condemned !== undefined && wanted.role === undefined;
}

/** From a worker of the version that this one replaces: on its device the standby is at hand. */
function distance({ model, role }: WantedVersion, owner: ObservedHost, device: string): number {
  const { beside } = role ?? {};
  if (beside === undefined) return 0;
  const there = owner.workers.filter((worker) => isOf(worker, { model, version: beside }));
  if (there.some((worker) => worker.device === device)) return 0;
  return there.length > 0 ? 1 : 2;
}

function compareRanks(a: Candidate, b: Candidate): number {
  for (const [index, value] of a.rank.entries()) {
    const difference = value - (b.rank[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return compareText(a.target.host, b.target.host) || compareText(a.target.device, b.target.device);
}

/** An accelerator before the processor. */
function deviceRank(device: string): number {
  return device.startsWith('cuda:') ? 0 : device.startsWith('webgpu:') ? 1 : 2;
}

function describeShortage(
  wanted: WantedVersion,
  placed: number,
  hosts: readonly ObservedHost[],
): string | undefined {
  if (placed >= wanted.replicas) return undefined;
  if (hosts.length === 0) return 'no host is up';
  const open = hosts.filter((host) => !host.stopping);
  if (open.length === 0) return 'every host is stopping';
  const slots = open.reduce((sum, host) => sum + host.slots, 0);
  const full = open.every((host) => host.taken >= host.slots);
  const count = (amount: number, noun: string) => `${amount} ${noun}${amount === 1 ? '' : 's'}`;
  if (full) return `no free slot: ${count(open.length, 'host')} with ${count(slots, 'slot')} in all`;
  const devices = open.reduce((sum, host) => sum + host.devices.length, 0);
  return `a version is placed once on each device, and no further one of ${count(devices, 'device')} has room for it`;
}
