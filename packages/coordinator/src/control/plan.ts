/**
 * The planner: desired state (registry) against observed state (leases) gives commands and routes. Pure: equal
 * arguments give equal plans, and where everything is as it should be, no commands. `reconcile-loop.ts` calls it.
 */
import type {
  HostCommand,
  HostLease,
  ModelRecord,
  RegistrySnapshot,
  RoutingEntry,
  WorkerReport,
} from '@troupe/shared';
import { givenUpVersion } from '../rollout/rollout-roles.js';
import { keptWorkers, squeezeWanted } from '../rollout/squeeze.js';
import { bringUp } from './bring-up.js';
import { answers, compareText, isOf, type ObservedHost, observeHosts } from './observed-host.js';
import {
  isOutdated,
  type Placement,
  planPlacement,
  type TargetWorker,
  type WantedVersion,
  wantedVersions,
} from './placement-plan.js';
import type { ResidencyView } from './residency-plan.js';
import { effectiveLabels, planRoute } from './routes-plan.js';
import { type VersionRef, versionKey, workerKey } from './worker-key.js';

/** What the leader knows beyond registry and reports. */
export interface PlanContext {
  readonly epoch: number;
  /** Requests that one worker may hold at once. */
  readonly credits: number;
  /** Routing entries as they are published now, by model. */
  readonly previousRoutes: ReadonlyMap<string, RoutingEntry>;
  /** Worker keys that a host refused lately. */
  readonly refused: ReadonlySet<string>;
  /** Worker keys whose runner has been without NATS for a lease TTL. */
  readonly cutOff: ReadonlySet<string>;
  /** Version keys that had a serving worker a moment ago. */
  readonly recentlyServing: ReadonlySet<string>;
  /** Version keys that left the route long enough ago, with their queue seen empty: their workers may go. */
  readonly retired: ReadonlySet<string>;
  /** Use and demand; absent: no version gives way to another, and none goes for want of requests. */
  readonly residency?: ResidencyView;
}

/** A command and the host that it is for. */
export interface PlannedCommand {
  readonly host: string;
  readonly command: HostCommand;
}

/** What should happen now. */
export interface Plan {
  readonly commands: readonly PlannedCommand[];
  readonly routes: readonly RoutingEntry[];
  /** Models that have a route and should not. */
  readonly removedRoutes: readonly string[];
  /** Versions with workers that no route leads to any more. */
  readonly retiring: readonly VersionRef[];
  /** By version key. */
  readonly placements: ReadonlyMap<string, Placement>;
  /** Whether every wanted worker that has a place serves. */
  readonly settled: boolean;
}

/** Makes the plan. */
export function plan(
  desired: RegistrySnapshot,
  observed: { readonly hosts: readonly HostLease[] },
  context: PlanContext,
): Plan {
  const { hosts, placements } = placeAll(desired, observed.hosts, context);
  const models = Object.values(desired.models).sort((a, b) => compareText(a.name, b.name));

  const routes: RoutingEntry[] = [];
  /** Version keys that some route leads to; that of a condemned version only says that it cannot be had. */
  const routed = new Set<string>();
  for (const model of models) {
    const route = planRoute(
      model,
      effectiveLabels(model, placements, hosts, context),
      placements,
      hosts,
      context,
    );
    routes.push(route);
    for (const [version, { state }] of Object.entries(route.versions)) {
      const condemned = model.versions[version]?.condemned !== undefined;
      if (condemned && state === 'failed') continue;
      routed.add(versionKey({ model: model.name, version: Number(version) }));
    }
  }

  const commands: PlannedCommand[] = [];
  const retiring = new Map<string, VersionRef>();
  const leaving = new Set<string>();
  const drain = (host: ObservedHost, worker: WorkerReport, cause: string) => {
    leaving.add(workerKey({ host: host.name, device: worker.device }, worker));
    const { model, version, device } = worker;
    commands.push({ host: host.name, command: { kind: 'drain', model, version, device, cause } });
  };

  scaleHosts(desired, observed.hosts, commands);
  for (const host of hosts) {
    if (host.stopping) continue; // it drains by itself
    /** Slots for workers that are no target but may stay a while. */
    let spare = host.slots - host.committed;
    for (const worker of host.workers) {
      if (worker.state === 'draining') continue;
      const key = versionKey(worker);
      const placement = placements.get(key);
      if (placement !== undefined && isTarget(placement, host, worker)) continue;
      if (placement === undefined && !routed.has(key)) {
        retiring.set(key, { model: worker.model, version: worker.version });
        condemn(desired.models[worker.model], host, worker, commands);
      }
      const cause =
        placement === undefined
          ? retirementCause(desired.models[worker.model], worker, routed.has(key), context)
          : isOutdated(worker, placement.wanted)
            ? verdictLifted
            : surplusCause(placement, worker);
      if (cause !== undefined) drain(host, worker, cause);
      else if (spare > 0) spare -= 1;
      else drain(host, worker, 'the host has no slot for it any more');
    }
  }
  giveWay(placements, hosts, routed, leaving, drain);
  for (const placement of placements.values()) {
    commands.push(...bringUp(placement, desired.models[placement.wanted.model], context.credits));
  }
  keepUnwantedServing(desired, hosts, placements, leaving, commands);

  const settled = [...placements.values()].every(({ targets }) =>
    targets.every(({ existing }) => existing !== undefined && answers(existing)),
  );
  const removedRoutes = [...context.previousRoutes.keys()]
    .filter((model) => !(model in desired.models))
    .sort();
  return {
    commands,
    routes,
    removedRoutes,
    retiring: [...retiring.values()],
    placements,
    settled: settled && commands.length === 0,
  };
}

/** Places what is wanted; once more with less where a rollout has no room and may do with less. */
function placeAll(
  desired: RegistrySnapshot,
  leases: readonly HostLease[],
  context: PlanContext,
): { hosts: ObservedHost[]; placements: Map<string, Placement> } {
  const wanted = wantedVersions(desired);
  const attempt = (versions: ReadonlyMap<string, WantedVersion>) => {
    const hosts = observeHosts(leases, desired.hostSettings);
    return { hosts, placements: planPlacement(versions, hosts, { ...context, models: desired.models }) };
  };
  const first = attempt(wanted);
  const squeezed = squeezeWanted(wanted, first.placements);
  return squeezed === undefined ? first : attempt(squeezed);
}

function scaleHosts(
  desired: RegistrySnapshot,
  leases: readonly HostLease[],
  commands: PlannedCommand[],
): void {
  for (const { host, report } of leases) {
    const slots = desired.hostSettings[host]?.slots;
    if (slots === undefined || slots === report.slots || report.stopping) continue;
    commands.push({ host, command: { kind: 'scale', slots } });
  }
}

function isTarget(placement: Placement, host: ObservedHost, worker: WorkerReport): boolean {
  return placement.targets.some((target) => target.host === host.name && target.device === worker.device);
}

/** Why a worker of a wanted version should go, or `undefined` while it still stands in for one that is coming. */
function surplusCause(placement: Placement, worker: WorkerReport): string | undefined {
  if (placement.leave !== undefined) return placement.leave;
  if (!answers(worker)) return 'more workers than wanted';
  const replaced = placement.targets.every(({ existing }) => existing !== undefined && answers(existing));
  return replaced && placement.targets.length > 0 ? 'more workers than wanted' : undefined;
}

const verdictLifted =
  'the verdict on its version was lifted, and it never serves again: another one is loaded';

/** Why a worker of a version that nobody wants should go now. */
function retirementCause(
  model: ModelRecord | undefined,
  worker: WorkerReport,
  routed: boolean,
  context: PlanContext,
): string | undefined {
  if (model === undefined) return 'the model was deleted';
  const content = model.versions[String(worker.version)];
  if (content === undefined) return 'the version was deleted';
  if (worker.condemned !== undefined && content.condemned === undefined) return verdictLifted;
  if (routed || !context.retired.has(versionKey(worker))) return undefined;
  if (worker.version === givenUpVersion(model)) return `it gives its place to version ${model.rollout?.to}`;
  // Until then it covers what still waits in its queue.
  if (content.condemned !== undefined) return `the version was condemned: ${content.condemned.cause}`;
  return 'no label names the version any more';
}

/** Tells a worker whose host does not know yet that its version was condemned. */
function condemn(
  model: ModelRecord | undefined,
  host: ObservedHost,
  worker: WorkerReport,
  commands: PlannedCommand[],
): void {
  const { condemned } = model?.versions[String(worker.version)] ?? {};
  if (condemned === undefined || worker.condemned !== undefined) return;
  const { device, version } = worker;
  const command = { kind: 'condemn', model: worker.model, version, device, cause: condemned.cause } as const;
  commands.push({ host: host.name, command });
}

/**
 * A wanted worker without a slot gets one from a version that is on its way out, but never that version's last
 * worker: less, not nothing.
 */
function giveWay(
  placements: ReadonlyMap<string, Placement>,
  hosts: readonly ObservedHost[],
  routed: ReadonlySet<string>,
  leaving: ReadonlySet<string>,
  drain: (host: ObservedHost, worker: WorkerReport, cause: string) => void,
): void {
  const isLeaving = (host: ObservedHost, worker: WorkerReport) =>
    worker.state === 'draining' || leaving.has(workerKey({ host: host.name, device: worker.device }, worker));
  /** Slots that are on their way to become free. */
  const freeing = new Map(
    hosts.map((host) => {
      const going = host.workers.filter((worker) => isLeaving(host, worker)).length;
      const freeThen = Math.max(0, host.slots - host.taken + going);
      return [host.name, freeThen - Math.max(0, host.slots - host.taken)];
    }),
  );
  for (const { standing, wanted, targets } of placements.values()) {
    if (wanted.role?.part === 'standby') continue; // nobody makes room for what gives way first itself
    // For what may wait and comes on demand, nobody goes but for its first worker.
    const most =
      standing === 'firm' ? wanted.replicas : standing === 'asked' ? Math.min(1, wanted.replicas) : 0;
    for (let missing = most - targets.length; missing > 0; missing -= 1) {
      const open = hosts.filter((host) => !host.stopping && hasDeviceFor(host, wanted, targets));
      const coming = open.find((host) => (freeing.get(host.name) ?? 0) > 0);
      if (coming !== undefined) {
        freeing.set(coming.name, (freeing.get(coming.name) ?? 0) - 1);
        continue;
      }
      const victim = findVictim(wanted, open, hosts, placements, routed, isLeaving);
      if (victim === undefined) break;
      drain(victim.host, victim.worker, `its slot is needed by ${wanted.model} version ${wanted.version}`);
    }
  }
}

function hasDeviceFor(host: ObservedHost, wanted: VersionRef, targets: readonly TargetWorker[]): boolean {
  return host.devices.some(
    (device) =>
      !targets.some((target) => target.host === host.name && target.device === device) &&
      !host.workers.some((worker) => worker.device === device && isOf(worker, wanted)),
  );
}

/**
 * Whether a version may have a standby's place: any that no rollout brings; its own successor only where the two do not
 * fit and so many workers may be missing.
 */
function mayHaveStandby(
  wanted: WantedVersion,
  standby: WantedVersion,
  hosts: readonly ObservedHost[],
  isLeaving: (host: ObservedHost, worker: WorkerReport) => boolean,
): boolean {
  const { role } = wanted;
  if (role === undefined) return true;
  if (role.part !== 'baking' || role.maxUnavailable === 0 || role.beside !== standby.version) return false;
  if (wanted.model !== standby.model) return false;
  const serving = hosts.flatMap((host) =>
    host.workers.filter(
      (worker) =>
        (isOf(worker, wanted) || isOf(worker, standby)) && answers(worker) && !isLeaving(host, worker),
    ),
  );
  return serving.length - 1 >= keptWorkers(wanted.replicas, role.maxUnavailable);
}

function findVictim(
  wanted: WantedVersion,
  open: readonly ObservedHost[],
  hosts: readonly ObservedHost[],
  placements: ReadonlyMap<string, Placement>,
  routed: ReadonlySet<string>,
  isLeaving: (host: ObservedHost, worker: WorkerReport) => boolean,
): { host: ObservedHost; worker: WorkerReport } | undefined {
  for (const host of open) {
    for (const worker of host.workers) {
      const key = versionKey(worker);
      if (isLeaving(host, worker)) continue;
      const placement = placements.get(key);
      if (placement?.wanted.role?.part === 'standby') {
        if (mayHaveStandby(wanted, placement.wanted, hosts, isLeaving)) return { host, worker };
      }
      if (placement !== undefined) continue;
      // A version that still has the route gives way to its own successor only.
      if (routed.has(key) && worker.model !== wanted.model) continue;
      const left = hosts.flatMap((other) =>
        other.workers.filter((one) => isOf(one, worker) && one !== worker && !isLeaving(other, one)),
      );
      if (left.some(answers) || !answers(worker)) return { host, worker };
    }
  }
  return undefined;
}

/** A worker of a leaving version that restarted goes on pulling until its queue is empty. */
function keepUnwantedServing(
  desired: RegistrySnapshot,
  hosts: readonly ObservedHost[],
  placements: ReadonlyMap<string, Placement>,
  leaving: ReadonlySet<string>,
  commands: PlannedCommand[],
): void {
  for (const host of hosts) {
    if (host.stopping) continue;
    for (const worker of host.workers) {
      const { model, version, device } = worker;
      if (worker.state !== 'warm' || placements.has(versionKey(worker))) continue;
      if (desired.models[model]?.versions[String(version)]?.condemned !== undefined) continue;
      if (leaving.has(workerKey({ host: host.name, device }, worker))) continue;
      commands.push({ host: host.name, command: { kind: 'activate', model, device, version } });
    }
  }
}
