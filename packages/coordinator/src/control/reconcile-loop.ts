/**
 * The control loop of one term as leader: observes leases and registry, plans, publishes routes, sends commands.
 * Turns run one at a time; events only bring the next one forward. Owned by `coordinator.ts`, which makes one for
 * every election. With Redis or NATS away nothing is decided: the last routes hold and nobody is evicted.
 */
import {
  asTroupeError,
  type ClusterSettings,
  EventKind,
  type HostLease,
  type LeaseStore,
  type Log,
  type RegistrySnapshot,
  type RegistryStore,
  type RoutingEntry,
  TroupeError,
} from '@troupe/shared';
import {
  type LaneLimits,
  type NatsLink,
  publishEvent,
  type RoutingPublisher,
  watchDemand,
} from '@troupe/shared/nats';
import { createRolloutDriver } from '../rollout/rollout-driver.js';
import { createColdQueues } from './cold-queues.js';
import { createCommandLedger } from './command-ledger.js';
import { createCommandSender } from './command-sender.js';
import { createLeaseWatch } from './lease-watch.js';
import type { Placement } from './placement-plan.js';
import { type Plan, plan } from './plan.js';
import { createPrefetcher } from './prefetcher.js';
import { createResidencyWatch } from './residency-watch.js';
import { createRetirement, type Retirement } from './retirement.js';
import { retirementView, routedKeys } from './retirement-view.js';
import { describeRouteChange, sameEntry } from './route-change.js';
import type { VersionRef } from './worker-key.js';
import { createWorkerWatch, type WorkerWatch } from './worker-watch.js';

/** A plan is made at least this often, changed or not. */
const slowTickMs = 1_000;

export interface ReconcileOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly leases: LeaseStore;
  readonly publisher: RoutingPublisher;
  readonly settings: ClusterSettings;
  /** Name of this coordinator, for events. */
  readonly owner: string;
  /** The epoch at this very moment; `undefined` once we lead no more. */
  readonly epoch: () => number | undefined;
  readonly log: Log;
}

export interface ReconcileLoop {
  start(): void;
  /** Something happened: the next turn comes now. */
  poke(): void;
  /** Ends the loop; resolves when nothing of it runs any more. Idempotent. */
  stop(): Promise<void>;
}

/** What a term builds up before its first turn. */
interface Term {
  readonly published: Map<string, RoutingEntry>;
  readonly workers: WorkerWatch;
}

/** Creates the loop of one term. */
export function createReconcileLoop(options: ReconcileOptions): ReconcileLoop {
  const { link, registry, leases, publisher, settings, log } = options;
  const now = () => performance.now();
  const ttlMs = settings.leaseTtlMs;
  const leaseWatch = createLeaseWatch({ store: leases, ttlMs, now });
  const ledger = createCommandLedger(ttlMs, now);
  const sender = createCommandSender({ link, ledger, epoch: options.epoch, onProgress: poke, log });
  const limits: LaneLimits = {
    queueLimit: settings.queueLimit,
    streamBytes: settings.streamBytes,
    ackWaitMs: settings.ackWaitMs,
  };
  const retirement: Retirement = createRetirement({
    link,
    limits,
    routeGraceMs: settings.routeGraceMs,
    now,
    onRetired: poke,
    onHandedOver: (ref) => ask(ref),
    log,
  });
  const rollouts = createRolloutDriver({
    registry,
    actor: `coordinator/${options.owner}`,
    now,
    emit: (kind, text, data) => emit(kind, text, data),
    log,
  });
  const residency = createResidencyWatch({ idleMs: settings.idleMs, now });
  const prefetcher = createPrefetcher({ link, epoch: options.epoch, now, log });
  const coldQueues = createColdQueues({
    link,
    limits,
    onWork: (ref) => ask(ref),
    now,
    log,
  });
  /** Often enough that a lease is never unseen for TTL/3, the gap that stops sweeping. */
  const lookEveryMs = Math.max(20, ttlMs / 10);

  let term: Term | undefined;
  let snapshot: RegistrySnapshot | undefined;
  let tokens: Map<string, number> | undefined;
  let plannedAtMs = Number.NEGATIVE_INFINITY;
  let plannedFor = '';
  let placements: ReadonlyMap<string, Placement> = new Map();
  let lastFault = '';
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let poked = false;
  let stopped = false;
  let stopWatching: () => void = () => undefined;
  let stopDemand: () => void = () => undefined;

  const emit = (kind: EventKind, text: string, data: Readonly<Record<string, unknown>>) =>
    publishEvent(link, { kind, source: `coordinator/${options.owner}`, text, data });

  /** Somebody waits for a version that is not in memory. */
  function ask(ref: VersionRef): void {
    // Anybody may publish demand; what nobody has registered is nobody's to load.
    const known = snapshot?.models[ref.model]?.versions[String(ref.version)];
    if (known !== undefined && residency.ask(ref)) poke();
  }

  function poke(): void {
    poked = true;
    schedule(0);
  }

  function schedule(inMs: number): void {
    if (stopped || running !== undefined) return; // the turn that runs schedules the next
    clearTimeout(timer);
    timer = setTimeout(() => {
      const startedMs = now();
      running = runTurn().finally(() => {
        running = undefined;
        // Rollouts may ask for a third of the time, with a thousand hosts as with one.
        const restMs = Math.max(rollouts.dueInMs, 2 * (now() - startedMs));
        schedule(poked ? 0 : Math.min(lookEveryMs, restMs));
      });
    }, inMs);
  }

  async function runTurn(): Promise<void> {
    const wasPoked = poked;
    poked = false;
    try {
      await turn(wasPoked);
      if (lastFault !== '') log.info('the control loop works again');
      lastFault = '';
    } catch (thrown) {
      const error = asTroupeError(thrown);
      if (error.reason !== lastFault)
        log.warn({ err: error }, 'the control loop cannot work: all stays as it is');
      lastFault = error.reason;
    }
  }

  async function turn(wasPoked: boolean): Promise<void> {
    const epoch = options.epoch();
    if (stopped || epoch === undefined || !link.isConnected()) return;
    const look = await leaseWatch.look(epoch);
    if (look.graced !== undefined) log.info({ cause: look.graced }, 'every lease got one new TTL');
    noteHosts(look.hosts, look.swept);
    snapshot = await readRegistry();
    term ??= await beginTerm(snapshot);
    term.workers.update(look.hosts);
    const hosts = ledger.overlay(look.hosts);
    const cutOff = term.workers.cutOff();
    if (await rollouts.turn({ snapshot, hosts, placements, cutOff, epoch })) snapshot = await readRegistry();
    residency.update(hosts);
    const fingerprint = fingerprintOf(snapshot, hosts);
    const due = now() - plannedAtMs >= slowTickMs;
    if (!wasPoked && !due && fingerprint === plannedFor) {
      retirement.look();
      return;
    }
    const made = plan(
      snapshot,
      { hosts },
      {
        epoch,
        credits: settings.credits,
        previousRoutes: term.published,
        refused: ledger.refusedKeys(),
        cutOff,
        recentlyServing: term.workers.recentlyServing(),
        retired: retirement.retired(),
        residency: residency.view(),
      },
    );
    plannedAtMs = now();
    plannedFor = fingerprint;
    placements = made.placements;
    const before = routedKeys(snapshot, term.published.values());
    await retirement.reclaim([...routedKeys(snapshot, made.routes)].filter((key) => !before.has(key)));
    await publishRoutes(made, epoch, term.published);
    if (options.epoch() === undefined || stopped) return;
    coldQueues.update(made.placements);
    prefetcher.update(snapshot, look.hosts);
    sender.send(made.commands);
    retirement.update(retirementView(snapshot, term.published, hosts));
  }

  /** Reads the registry only where its revision moved. */
  async function readRegistry(): Promise<RegistrySnapshot> {
    if (snapshot !== undefined && (await registry.revision()) === snapshot.revision) return snapshot;
    return registry.read();
  }

  async function beginTerm(desired: RegistrySnapshot): Promise<Term> {
    const routes = await publisher.readAll();
    const published = new Map(routes.map((route) => [route.model, route]));
    retirement.update(retirementView(desired, published, []));
    const workers = createWorkerWatch({ ttlMs, recentMs: settings.deadlineMs, now }, routes);
    return { published, workers };
  }

  function noteHosts(hosts: readonly HostLease[], swept: readonly HostLease[]): void {
    const before = tokens;
    tokens = new Map(hosts.map((lease) => [lease.host, lease.token]));
    for (const { host } of swept) {
      ledger.forgetHost(host);
      log.warn({ host }, 'host lost: its lease lapsed');
      emit(EventKind.HostLost, `host ${host} let its lease lapse`, { host });
    }
    for (const { host, token } of hosts) {
      // A new process under an old name knows nothing of what its predecessor was told.
      if (before !== undefined && before.get(host) !== token) ledger.forgetHost(host);
    }
  }

  async function publishRoutes(
    made: Plan,
    epoch: number,
    published: Map<string, RoutingEntry>,
  ): Promise<void> {
    for (const route of made.routes) {
      const before = published.get(route.model);
      if (before !== undefined && before.epoch === epoch && sameEntry(before, route)) continue;
      if (!(await publisher.publish(route))) throw staleEpoch(epoch);
      published.set(route.model, route);
      const change = describeRouteChange(before, route);
      if (change !== undefined) {
        log.info({ model: route.model, change }, 'route changed');
        emit(EventKind.RouteChanged, `model ${route.model}: ${change}`, {
          model: route.model,
          labels: route.labels,
          states: Object.fromEntries(Object.entries(route.versions).map(([v, { state }]) => [v, state])),
        });
      }
    }
    for (const model of made.removedRoutes) {
      if (!(await publisher.remove(model, epoch))) throw staleEpoch(epoch);
      published.delete(model);
      emit(EventKind.RouteChanged, `model ${model} has no route any more`, { model, labels: {}, states: {} });
    }
  }

  return {
    start() {
      stopWatching = link.onReconnect(() => {
        term?.workers.forgetCuts();
        coldQueues.forget();
        poke();
      });
      stopDemand = watchDemand(link, (model, version) => ask({ model, version }));
      poke();
    },
    poke,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      stopWatching();
      stopDemand();
      await running;
      await Promise.all([sender.idle(), retirement.stop(), coldQueues.stop(), prefetcher.stop()]);
    },
  };
}

function staleEpoch(epoch: number): TroupeError {
  return new TroupeError('epoch.stale', `the routing table has an epoch above ${epoch}: somebody else leads`);
}

/** Changes whenever a plan might. Counters of reports are left out: they move at every renewal. */
function fingerprintOf(snapshot: RegistrySnapshot, hosts: readonly HostLease[]): string {
  const observed = hosts.map(({ host, token, report }) => [
    host,
    token,
    report.slots,
    report.stopping,
    report.devices.map((device) => device.name),
    report.workers.map((w) => [
      w.model,
      w.version,
      w.device,
      w.state,
      w.servingVersion,
      w.credits,
      w.natsConnected,
      w.reason,
      w.probation,
      w.condemned?.kind,
    ]),
  ]);
  return JSON.stringify([snapshot.revision, observed]);
}
