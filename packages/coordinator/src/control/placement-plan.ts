/**
 * Where the workers of wanted versions should be: pure, deterministic, and with as little movement as the rules
 * allow. Called by `plan.ts`; it sends nothing and knows no clock.
 *
 * Rules, in this order: never more workers than slots (P1); a version never twice on one device (P2); nothing new on a
 * stopping host (P3); everyone gets a first worker before anyone gets a second (P4); spread over hosts, then
 * devices (P5); a worker that is well placed stays (P6); what a rollout brings, or keeps as its standby, has its places
 * after everything else, beside the version that it replaces (P7).
 */
import {
  estimateMemory,
  type ModelRecord,
  type ModelVersion,
  type RegistrySnapshot,
  type RoutingEntry,
  type WorkerReport,
} from '@troupe/shared';
import { givenUpVersion, type RolloutRole, rolloutRole, rolloutVersions } from '../rollout/rollout-roles.js';
import { answers, compareText, isOf, type ObservedHost } from './observed-host.js';
import { describeShortage, hasRoomBeside } from './placement-room.js';
import {
  compareStandings,
  hasBudget,
  type ResidencyView,
  type Standing,
  standingOf,
} from './residency-plan.js';
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
  readonly standing: Standing['kind'];
  /** Workers that room is being made for. */
  readonly reserved: number;
  /** Whether a first worker could have a place if all gave way that would: requests may wait for it. */
  readonly canCome: boolean;
  /** Why its workers go, though it is wanted: nobody asks for it, or others need its room. */
  readonly leave: string | undefined;
}

/** What the leader knows beyond reports, as it touches placement. */
export interface PlacementContext {
  /** Worker keys that a host refused lately: not tried again for a while. */
  readonly refused: ReadonlySet<string>;
  /** Worker keys whose runner has been without NATS for a lease TTL: taken only where nothing else is left. */
  readonly cutOff: ReadonlySet<string>;
  readonly models?: Readonly<Record<string, ModelRecord>>;
  readonly previousRoutes?: ReadonlyMap<string, RoutingEntry>;
  /** Absent: no version gives way to another. */
  readonly residency?: ResidencyView;
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
      if (version === givenUpVersion(model)) continue;
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
  const holders = indexHolders(hosts);
  const budgeted = hosts.some(hasBudget);
  const drafts = [...wanted.values()]
    .map((version) => ({
      wanted: version,
      targets: [] as TargetWorker[],
      reserved: [] as TargetWorker[],
      canCome: false,
      standing: standingOf(version, hosts, {
        model: context.models?.[version.model],
        part: version.role?.part,
        route: context.previousRoutes?.get(version.model),
        view: context.residency,
        budgeted,
      }),
      // What a stopping host takes away is replaced before anything else gets a slot.
      losing: holders.get(versionKey(version))?.some(({ stopping }) => stopping) ?? false,
    }))
    // Stable: ties keep the order of names.
    .sort((a, b) => compareStandings(a.standing, b.standing) || Number(b.losing) - Number(a.losing));
  const firm = drafts.filter(({ standing }) => standing.kind === 'firm');
  const yielding = drafts.filter(({ standing }) => standing.kind !== 'firm' && standing.kind !== 'cold');
  const isLast = ({ role }: WantedVersion) => role?.part === 'candidate' || role?.part === 'standby';
  for (const group of [
    firm.filter((draft) => !isLast(draft.wanted)),
    firm.filter((draft) => isLast(draft.wanted)), // P7
    yielding, // P8
  ]) {
    if (group === yielding) {
      if (firm.length < drafts.length) {
        for (const draft of firm) {
          // Of what is there for good only the first worker takes a place from others; of a rollout a whole wave.
          const isCandidate = draft.wanted.role?.part === 'candidate';
          const most = isCandidate ? draft.wanted.replicas - draft.targets.length : 1 - draft.targets.length;
          while (draft.reserved.length < most && reserve(draft, hosts, context));
        }
      }
      for (const draft of drafts) {
        draft.canCome = draft.reserved.length > 0 || hasRoomBeside(draft.wanted.content, hosts);
      }
    }
    const rounds = Math.max(0, ...group.map((draft) => draft.wanted.replicas));
    for (let round = 0; round < rounds; round += 1) {
      for (const draft of group) {
        if (draft.wanted.replicas <= round || draft.targets.length + draft.reserved.length < round) continue;
        const kept = keptCandidate(draft.wanted, draft.targets, holders, context);
        const best = kept ?? bestCandidate(draft.wanted, draft.targets, hosts, context);
        if (best === undefined) {
          const isNeeded = round === 0 || draft.wanted.role?.part === 'candidate';
          if (draft.standing.kind === 'asked' && isNeeded) reserve(draft, hosts, context);
          continue;
        }
        commit(best, draft.wanted);
        draft.targets.push(best.target);
      }
    }
  }
  return new Map(
    drafts.map(({ wanted: version, targets, reserved, canCome, standing }) => {
      const isOut = standing.kind !== 'firm' && targets.length === 0 && reserved.length === 0;
      const cause = standing.kind === 'cold' ? standing.cause : 'others need its room';
      return [
        versionKey(version),
        {
          wanted: version,
          targets,
          shortage: describeShortage(version.content, version.replicas - targets.length, hosts),
          standing: standing.kind,
          reserved: reserved.length,
          canCome,
          leave: isOut ? cause : undefined,
        },
      ];
    }),
  );
}

/** What a version counts with on a device, or its worker that is there. */
function memoryOf(wanted: WantedVersion, device: string, existing: WorkerReport | undefined): number {
  return existing?.memoryChargedBytes ?? estimateMemory(wanted.content, device);
}

/** Gives a place out. */
function commit({ owner, target: { device, existing } }: Candidate, wanted: WantedVersion): void {
  const bytes = memoryOf(wanted, device, existing);
  const room = owner.rooms.get(device);
  owner.committed += 1;
  if (room !== undefined) room.committedBytes += bytes;
  if (existing !== undefined) return;
  owner.taken += 1;
  if (room !== undefined) room.takenBytes += bytes;
}

/** Keeps a place, and says whether there was one, for a version that has to wait until others are gone; those of a rollout in waves. */
function reserve(
  {
    reserved,
    targets,
    wanted,
  }: Pick<Placement, 'targets' | 'wanted'> & { readonly reserved: TargetWorker[] },
  hosts: readonly ObservedHost[],
  context: PlacementContext,
): boolean {
  const coming = targets.filter(({ existing }) => existing === undefined || !answers(existing)).length;
  if (reserved.length + coming >= Math.min(wanted.replicas, wanted.role?.waveSize ?? wanted.replicas))
    return false;
  const best = bestCandidate(wanted, [...targets, ...reserved], hosts, context, true);
  if (best === undefined) return false;
  const room = best.owner.rooms.get(best.target.device);
  best.owner.committed += 1;
  if (room !== undefined) room.committedBytes += memoryOf(wanted, best.target.device, undefined);
  reserved.push(best.target);
  return true;
}

interface Candidate {
  readonly owner: ObservedHost;
  readonly target: TargetWorker;
  /** Compared from the left, less is better; see P5 and P6. */
  readonly rank: readonly number[];
}

/** Hosts by the versions that they have workers of. */
type Holders = ReadonlyMap<string, readonly ObservedHost[]>;

function indexHolders(hosts: readonly ObservedHost[]): Holders {
  const holders = new Map<string, ObservedHost[]>();
  for (const host of hosts) {
    for (const key of new Set(host.workers.map(versionKey))) {
      const known = holders.get(key);
      if (known === undefined) holders.set(key, [host]);
      else known.push(host);
    }
  }
  return holders;
}

/**
 * The best candidate where a worker that answers stays (P6): nothing outranks one on a host that has no other, so only
 * hosts that have the version are looked at. In a cluster at rest that is all there is to do, and a plan costs as much
 * as there are workers, not their number times that of the places.
 */
function keptCandidate(
  wanted: WantedVersion,
  chosen: readonly TargetWorker[],
  holders: Holders,
  context: PlacementContext,
): Candidate | undefined {
  const best = bestCandidate(wanted, chosen, holders.get(versionKey(wanted)) ?? [], context);
  const [lost, spread, preference] = best?.rank ?? [];
  return lost === 0 && spread === 0 && preference === 0 ? best : undefined;
}

function bestCandidate(
  wanted: WantedVersion,
  chosen: readonly TargetWorker[],
  hosts: readonly ObservedHost[],
  context: PlacementContext,
  reserving = false,
): Candidate | undefined {
  let best: Candidate | undefined;
  for (const candidate of candidates(wanted, chosen, hosts, context, reserving)) {
    if (best === undefined || compareRanks(candidate, best) < 0) best = candidate;
  }
  return best;
}

function* candidates(
  wanted: WantedVersion,
  chosen: readonly TargetWorker[],
  hosts: readonly ObservedHost[],
  context: PlacementContext,
  /** Whether the place may still be somebody's who gives way. */
  reserving: boolean,
): Generator<Candidate> {
  for (const owner of hosts) {
    if (owner.stopping || owner.committed >= owner.slots) continue;
    const here = chosen.filter((target) => target.host === owner.name);
    for (const device of owner.devices) {
      if (here.some((target) => target.device === device)) continue;
      const position = { host: owner.name, device };
      const key = workerKey(position, wanted);
      const found = owner.workers.find((worker) => worker.device === device && isOf(worker, wanted));
      const existing = reserving ? undefined : found;
      const bytes = memoryOf(wanted, device, existing);
      const room = owner.rooms.get(device);
      if (room !== undefined && room.committedBytes + bytes > room.budgetBytes) continue;
      if (reserving) {
        // Where room is coming already, else where the least recently used one is.
        const isComing =
          (room?.takenBytes ?? 0) - (room?.leavingBytes ?? 0) + bytes <= (room?.budgetBytes ?? 0);
        const rank = [isComing ? 0 : 1, oldestUse(owner, device, context), deviceRank(device)];
        yield { owner, target: { ...position, existing }, rank };
        continue;
      }
      if (existing === undefined) {
        if (owner.taken >= owner.slots || context.refused.has(key)) continue;
        if (room !== undefined && room.takenBytes + bytes > room.budgetBytes) continue;
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
  const { condemned } = worker;
  // In a rollout a verdict of the host's own counts; an order is from before it.
  return condemned !== undefined && (wanted.role === undefined || condemned.kind === 'order');
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

/** When the least recently used worker of a device was at work. */
function oldestUse(owner: ObservedHost, device: string, { residency }: PlacementContext): number {
  const uses = owner.workers
    .filter((worker) => worker.device === device && worker.state !== 'draining')
    .map((worker) => residency?.usedAtMs.get(versionKey(worker)) ?? Number.POSITIVE_INFINITY);
  return Math.min(Number.MAX_SAFE_INTEGER, ...uses);
}

/** An accelerator before the processor. */
function deviceRank(device: string): number {
  return device.startsWith('cuda:') ? 0 : device.startsWith('webgpu:') ? 1 : 2;
}
