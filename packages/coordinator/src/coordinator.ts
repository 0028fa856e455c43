/**
 * A coordinator: the doors of the cluster, and while it holds the leader lease its control loop. Any number run side
 * by side; all serve the doors, one leads. Wires everything together and owns the order of start and stop.
 *
 * Stop order: the admin service deregisters and the doors close; what came through them is finished within a bound;
 * the control loop ends and the leader lease is given back; NATS and Redis are closed.
 */
import {
  asTroupeError,
  type ClusterSettings,
  EventKind,
  type LeaseStore,
  type Log,
  type NatsAccess,
  type RegistryStore,
  readPackageVersion,
  TroupeError,
  waitForServer,
} from '@troupe/shared';
import {
  connectNats,
  createArtifactStore,
  createRoutingPublisher,
  createRoutingView,
  declareRecordStreams,
  type NatsLink,
  publishEvent,
  type RoutingPublisher,
  serveAdmin,
  watchEvents,
} from '@troupe/shared/nats';
import {
  connectRedis,
  createRedisLeaseStore,
  createRedisRegistryStore,
  type RedisConnection,
} from '@troupe/shared/redis';
import { startLaneGuard } from './control/lane-guard.js';
import { createLeaderLease, type LeaderLease } from './control/leader-lease.js';
import { createReconcileLoop, type ReconcileLoop } from './control/reconcile-loop.js';
import { startReplicaKeeper } from './control/replica-keeper.js';
import { startStrikeCounter } from './control/strike-counter.js';
import { openCancelDoor } from './data/cancel-door.js';
import { createIngress } from './data/ingress.js';
import { createRoutingTable } from './data/routing-table.js';
import { createAdminEndpoints } from './doors/admin-api.js';
import { createDoctorEndpoint } from './doors/doctor/doctor-endpoint.js';
import { createRegistrar } from './doors/registration.js';

export interface CoordinatorOptions {
  /** Name in the cluster; no two coordinators may share one. */
  readonly name: string;
  readonly natsUrl: string;
  readonly natsAccess?: NatsAccess;
  readonly redisUrl: string;
  /** Path of the authority's certificate, for `rediss://`. */
  readonly redisCaFile?: string;
  readonly settings: ClusterSettings;
  readonly log: Log;
  /** How long open requests of the doors may take at the end, in milliseconds. Default 5,000. */
  readonly drainBoundMs?: number;
}

/** How a coordinator ended. */
export type CoordinatorOutcome =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: TroupeError };

export interface Coordinator {
  /**
   * Resolves once the doors are open and some coordinator leads; waits for servers that are not there yet. Rejects with
   * what waiting does not mend (`nats.*`, `redis.*`), `cluster.no_leader`, or `client.closed` where it was closed
   * meanwhile, and has then closed everything again.
   */
  start(): Promise<void>;
  /** Closes the doors and finishes what came through them, within the bound. Idempotent. */
  drain(): Promise<void>;
  /** Drains, gives the leader lease back, and closes. Idempotent. */
  close(): Promise<void>;
  /** Never rejects. */
  readonly closed: Promise<CoordinatorOutcome>;
  /** The epoch under which it leads at this moment; `undefined` where another one does. */
  epoch(): number | undefined;
}

const defaultDrainBoundMs = 5_000;
/** Bound of one step of closing, where the step itself has none. */
const closeStepMs = 2_000;
/** How long a start waits for a leader beyond one lease TTL: a predecessor that was killed holds its lease that long. */
const leaderMarginMs = 10_000;
const leaderPollMs = 50;

/** Kinds of events that do not call for a plan. */
const quietKinds: ReadonlySet<EventKind> = new Set([
  EventKind.RouteChanged,
  EventKind.LeaderElected,
  EventKind.HostLost,
  EventKind.ModelRefused,
  EventKind.RequestStrike,
  EventKind.RequestDead,
]);

/** Creates a coordinator; nothing happens before `start()`. */
export function createCoordinator(options: CoordinatorOptions): Coordinator {
  return new CoordinatorProcess(options);
}

class CoordinatorProcess implements Coordinator {
  readonly closed: Promise<CoordinatorOutcome>;
  readonly #options: CoordinatorOptions;
  #settle: (outcome: CoordinatorOutcome) => void = () => undefined;
  /** What to undo: doors first (when draining), everything else in reverse order of its start (when closing). */
  readonly #doors: (() => Promise<unknown>)[] = [];
  readonly #steps: (() => Promise<unknown> | undefined)[] = [];
  #lease: LeaderLease | undefined;
  #loop: ReconcileLoop | undefined;
  /** Loops of earlier terms that are still ending. */
  readonly #ending = new Set<Promise<void>>();
  readonly #leaving = new AbortController();
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failure: TroupeError | undefined;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  epoch(): number | undefined {
    return this.#lease?.epoch();
  }

  async start(): Promise<void> {
    try {
      await this.#open();
    } catch (thrown) {
      const error = asTroupeError(thrown);
      if (this.#closing === undefined) this.#failure = error;
      await this.close();
      // A close in the middle of the start could not undo what came to be after it.
      await this.#undo();
      throw error;
    }
  }

  drain(): Promise<void> {
    this.#draining ??= this.#closeDoors();
    return this.#draining;
  }

  close(): Promise<void> {
    this.#leaving.abort();
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  async #open(): Promise<void> {
    const { name, natsAccess, natsUrl, redisCaFile, redisUrl, settings, log } = this.#options;
    const { signal } = this.#leaving;
    const connectDeclared = async () => {
      const opened = await connectNats({
        servers: natsUrl,
        ...(natsAccess === undefined ? {} : { access: natsAccess }),
        name: `troupe coordinator ${name}`,
        namespace: settings.namespace,
        replicas: settings.natsReplicas,
        signal,
        log,
      });
      try {
        // Here, since a cluster of servers that starts may answer and lack servers for the copies that are wanted.
        await declareRecordStreams(opened);
        return opened;
      } catch (error) {
        await opened.close();
        throw error;
      }
    };
    const link = await waitForServer(connectDeclared, {
      signal,
      log,
      advice: 'start it, or say where it is (--nats, NATS_URL)',
    });
    this.#steps.push(() => link.close());
    this.#assertOpen();
    void link.closed.then((error) => this.#linkClosed(error));

    const redis = await waitForServer(
      () =>
        connectRedis({
          url: redisUrl,
          ...(redisCaFile === undefined ? {} : { caFile: redisCaFile }),
          namespace: settings.namespace,
          // Below ttl/3, so that a renewal is over before the next one is due.
          commandTimeoutMs: Math.max(50, Math.floor((settings.leaseTtlMs / 3) * 0.9)),
          signal,
          log,
        }),
      { signal, log, advice: 'start it, or say where it is (--redis, REDIS_URL)' },
    );
    this.#steps.push(() => redis.close());
    this.#assertOpen();
    const leases = createRedisLeaseStore(redis);
    const registry = createRedisRegistryStore(redis);
    this.#steps.push(() => Promise.all([leases.close(), registry.close()]));

    const stopDeclaring = link.onReconnect(() => {
      declareRecordStreams(link).catch((error: unknown) =>
        log.warn({ err: error }, 'records are not kept yet'),
      );
    });
    const publisher = createRoutingPublisher(link);
    const view = await createRoutingView(link, (error) =>
      log.warn({ err: error }, 'the routing table is not read'),
    );
    this.#steps.push(async () => {
      stopDeclaring();
      await view.close();
    });

    this.#assertOpen();
    this.#startControl(link, registry, leases, publisher);
    await this.#openDoors(link, redis, registry, leases, createRoutingTable(view));
    await this.#waitForLeader(leases);
  }

  #startControl(
    link: NatsLink,
    registry: RegistryStore,
    leases: LeaseStore,
    publisher: RoutingPublisher,
  ): void {
    const { name, settings, log } = this.#options;
    const lease = createLeaderLease({
      store: leases,
      owner: name,
      ttlMs: settings.leaseTtlMs,
      minEpoch: () => highestEpoch(leases, publisher),
      log,
      onElected: (epoch) => {
        const loop = createReconcileLoop({
          link,
          registry,
          leases,
          publisher,
          settings,
          owner: name,
          log,
          // Of this term only: a later term has a loop of its own.
          epoch: () => (lease.epoch() === epoch ? epoch : undefined),
        });
        this.#endLoop();
        this.#loop = loop;
        loop.start();
        publishEvent(link, {
          kind: EventKind.LeaderElected,
          source: `coordinator/${name}`,
          text: `coordinator ${name} leads under epoch ${epoch}`,
          data: { coordinator: name, epoch },
        });
      },
      onDeposed: () => this.#endLoop(),
    });
    this.#lease = lease;
    const stopEvents = watchEvents(link, 'all', (event) => {
      if (!quietKinds.has(event.kind)) this.#loop?.poke();
    });
    const stopStrikes = startStrikeCounter({
      link,
      registry,
      owner: name,
      isLeader: () => lease.epoch() !== undefined,
      log,
    });
    const isLeader = () => lease.epoch() !== undefined;
    const stopReplicas = startReplicaKeeper({ link, isLeader, log });
    const stopGuard = startLaneGuard({ link, owner: name, isLeader, log });
    this.#steps.push(async () => {
      stopEvents();
      const upkeepLeft = [stopReplicas(), stopGuard()];
      await stopStrikes();
      await lease.close();
      this.#endLoop();
      await Promise.all([...this.#ending, ...upkeepLeft]);
    });
    lease.start();
  }

  async #openDoors(
    link: NatsLink,
    redis: RedisConnection,
    registry: RegistryStore,
    leases: LeaseStore,
    table: ReturnType<typeof createRoutingTable>,
  ): Promise<void> {
    const { name, settings, log } = this.#options;
    const artifacts = createArtifactStore(link);
    this.#steps.push(() => artifacts.close());
    const ingress = createIngress({ link, table, deadlineMs: settings.deadlineMs, log });
    ingress.start();
    const bound = this.#options.drainBoundMs ?? defaultDrainBoundMs;
    this.#doors.push(() => ingress.drain(bound));
    this.#steps.push(async () => ingress.close());
    const closeCancelDoor = openCancelDoor(link, log);
    this.#doors.push(async () => closeCancelDoor());

    const stopping = new AbortController();
    this.#doors.push(async () => stopping.abort());
    const registrar = createRegistrar({
      link,
      registry,
      leases,
      artifacts,
      loadLimitMs: settings.loadLimitMs,
      log,
      signal: stopping.signal,
    });
    const troupeVersion = readPackageVersion(new URL('../package.json', import.meta.url));
    const cluster = { link, registry, leases, table, settings, owner: name, troupeVersion };
    const admin = await serveAdmin(
      link,
      {
        version: troupeVersion,
        description: 'Troupe: models, hosts, workers and events of an inference cluster',
        endpoints: [
          ...createAdminEndpoints({ ...cluster, registrar }),
          createDoctorEndpoint({ ...cluster, redis }),
        ],
      },
      (error, subject) => {
        const level = error.reason === 'internal.unexpected' ? 'error' : 'debug';
        log[level]({ err: error, subject }, 'an admin call failed');
      },
    );
    this.#doors.push(() => within(bound, admin.stop()));
  }

  async #waitForLeader(leases: LeaseStore): Promise<void> {
    const untilMs = performance.now() + this.#options.settings.leaseTtlMs + leaderMarginMs;
    while (this.#closing === undefined) {
      // A store that does not answer for a moment is asked again.
      const leader = await leases.leader().catch(() => undefined);
      if (this.epoch() !== undefined || leader !== undefined) return;
      if (performance.now() > untilMs) {
        throw new TroupeError(
          'cluster.no_leader',
          'no coordinator could become leader: see the log for the cause',
        );
      }
      await new Promise((resolve) => setTimeout(resolve, leaderPollMs));
    }
    this.#assertOpen();
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return;
    throw this.#failure ?? new TroupeError('client.closed', 'the coordinator was closed while it started');
  }

  #endLoop(): void {
    const loop = this.#loop;
    if (loop === undefined) return;
    this.#loop = undefined;
    const ending = loop
      .stop()
      .catch((error: unknown) =>
        this.#options.log.warn({ err: error }, 'the control loop ended with an error'),
      )
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #linkClosed(error: Error | undefined): void {
    if (this.#closing !== undefined) return;
    this.#failure = new TroupeError('nats.failed', 'the connection to NATS was closed for good', {
      cause: error,
    });
    this.#options.log.fatal({ err: this.#failure }, 'the coordinator ends');
    this.close().catch(() => undefined); // `closed` tells
  }

  async #closeDoors(): Promise<void> {
    const outcomes = await Promise.allSettled(this.#doors.map((close) => close()));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        this.#options.log.warn({ err: outcome.reason as unknown }, 'a door did not close cleanly');
      }
    }
  }

  async #shut(): Promise<void> {
    await this.drain();
    await this.#undo();
    this.#settle(
      this.#failure === undefined ? { kind: 'stopped' } : { kind: 'failed', error: this.#failure },
    );
  }

  async #undo(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await within(closeStepMs, step());
      } catch (error) {
        this.#options.log.warn({ err: error }, 'a step of closing failed');
      }
    }
  }
}

/** The highest epoch anywhere but in the leader lease itself: Redis may have lost what it once gave out. */
async function highestEpoch(leases: LeaseStore, publisher: RoutingPublisher): Promise<number> {
  const [routes, hosts] = await Promise.all([publisher.highestEpoch(), leases.listHosts()]);
  return Math.max(routes, ...hosts.map(({ report }) => report.epoch));
}

/** Waits for some work, at most `ms`. */
async function within(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
