/**
 * A host: one process for a machine, or for a group of its devices. Wires the lease, the snapshot store, the leader's
 * commands and the workers together. It never loads ONNX Runtime and never touches a tensor.
 *
 * Stop order: no more assignments, and the lease says so; all workers drain within the bound; the lease is released;
 * commands, NATS and Redis are closed; the data folder is unlocked.
 */
import {
  asTroupeError,
  type ClusterSettings,
  defaults,
  EventKind,
  type HostReport,
  type LeaseStore,
  type Log,
  type MemoryBudgets,
  type NatsAccess,
  TroupeError,
  waitForServer,
} from '@troupe/shared';
import {
  type ArtifactStore,
  answerOnBehalf,
  connectNats,
  createArtifactStore,
  type NatsLink,
  nakOnBehalf,
  publishEvent,
  serveHostCommands,
} from '@troupe/shared/nats';
import { connectRedis, createRedisLeaseStore } from '@troupe/shared/redis';
import { createDeferred } from '../onnx/deferred.js';
import { type FolderWatch, watchFolder } from '../watch/folder-watch.js';
import { countIntraOpThreads } from './core-share.js';
import { type DataLock, lockDataFolder } from './data-lock.js';
import { DeviceMeter } from './device-meter.js';
import { EpochGate } from './epoch-gate.js';
import { EventBound } from './event-bound.js';
import { EventOutbox } from './event-outbox.js';
import { HostCommands } from './host-commands.js';
import { findDevices, type WantedDevices } from './host-devices.js';
import { readPackageVersions } from './host-package.js';
import { HostUpkeep } from './host-upkeep.js';
import { createLeaseKeeper, type LeaseKeeper } from './lease-keeper.js';
import { planGentleLoad, tryGentleLoads } from './priority-trial.js';
import { createResumeList, type ResumeList } from './resume-list.js';
import { ResumeServing } from './resume-serving.js';
import { createRunnerRegister } from './runner-register.js';
import { Siblings } from './siblings.js';
import { createSnapshotStore } from './snapshot-store.js';
import type { Worker, WorkerNotice } from './worker-actor.js';
import { describeNotice } from './worker-news.js';
import { WorkerTable } from './worker-table.js';

export interface HostOptions {
  /** Name in the cluster: letters, digits, '_' and '-'. */
  readonly name: string;
  /** Folder of its own. */
  readonly dataDir: string;
  /** Each is tried before the host registers. `auto`: the CUDA devices that work, else `cpu:0`. */
  readonly devices: WantedDevices;
  /** Workers that it has room for over all its devices; default 8 for each. */
  readonly slots?: number;
  /** What the workers of each device may use; absent: slots alone are the limit. */
  readonly memoryBudgets?: MemoryBudgets;
  /** A folder of models to keep the cluster at; absent: none is watched. */
  readonly watch?: string;
  readonly natsUrl: string;
  readonly natsAccess?: NatsAccess;
  readonly redisUrl: string;
  /** Path of the authority's certificate, for `rediss://`. */
  readonly redisCaFile?: string;
  readonly settings: ClusterSettings;
  readonly logLevel: string;
  readonly log: Log;
  /** Module that runners run; default this package's. */
  readonly runnerEntry?: URL;
}

/** How a host ended. */
export type HostOutcome =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: TroupeError };

export interface Host {
  /**
   * Resolves when it is registered and takes commands; waits for servers that are not there yet. Rejects with
   * `config.invalid`, with what waiting does not mend (`nats.*`, `redis.*`), or with
   * `client.closed` where it was closed meanwhile; everything is closed again then.
   */
  start(): Promise<void>;
  /** Takes nothing new and drains all workers within the drain bound. Idempotent. */
  drain(): Promise<void>;
  /** Ends: whatever still runs is killed. Idempotent. */
  close(): Promise<void>;
  /** Never rejects. */
  readonly closed: Promise<HostOutcome>;
  report(): HostReport;
}

const registerLimitMs = 10_000;
/** For one step of closing: a trial or a fetch under way is not waited for longer. */
const closeStepMs = 2_000;

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

/** Nothing starts before `start()`. */
export function createHost(options: HostOptions): Host {
  return new HostProcess(options);
}

class HostProcess implements Host {
  readonly closed: Promise<HostOutcome>;
  readonly #options: HostOptions;
  readonly #log: Log;
  readonly #startedAt = new Date().toISOString();
  readonly #versions = readPackageVersions();
  readonly #gate = new EpochGate();
  readonly #end = createDeferred<HostOutcome>();
  readonly #stopAsked = createDeferred<void>();
  readonly #leaving = new AbortController();
  readonly #siblings = new Siblings();
  readonly #bound = new EventBound();
  #raisesPriority: boolean | undefined;
  #meter = new DeviceMeter([]);
  #lock: DataLock | undefined;
  #link: NatsLink | undefined;
  #artifacts: ArtifactStore | undefined;
  #leases: LeaseStore | undefined;
  #closeRedis: (() => Promise<void>) | undefined;
  #table: WorkerTable | undefined;
  #keeper: LeaseKeeper | undefined;
  #upkeep: HostUpkeep | undefined;
  #outbox: EventOutbox | undefined;
  #stopCommands: (() => Promise<void>) | undefined;
  #opening: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failure: TroupeError | undefined;
  #watch: FolderWatch | undefined;
  #resumeList: ResumeList | undefined;
  #resume: ResumeServing | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#log = options.log;
    this.closed = this.#end.promise;
  }

  async start(): Promise<void> {
    try {
      this.#opening = this.#open();
      await this.#opening;
    } catch (thrown) {
      const failure = asTroupeError(thrown);
      if (this.#closing === undefined) this.#failure = failure;
      await this.close();
      throw failure;
    }
  }

  drain(): Promise<void> {
    this.#leaving.abort();
    this.#draining ??= this.#drainWorkers();
    return this.#draining;
  }

  close(): Promise<void> {
    this.#leaving.abort();
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  report(): HostReport {
    return {
      host: this.#options.name,
      startedAt: this.#startedAt,
      pid: process.pid,
      devices: this.#meter.reports(),
      slots: this.#table?.slots ?? 0,
      workers: this.#table?.list().map((worker) => this.#resume?.report(worker) ?? worker.report()) ?? [],
      epoch: this.#gate.highest,
      stopping: this.#draining !== undefined || this.#closing !== undefined,
      ...(this.#raisesPriority === undefined ? {} : { raisesPriority: this.#raisesPriority }),
      nodeVersion: process.version,
      runtimeVersion: this.#versions.runtime,
      troupeVersion: this.#versions.troupe,
    };
  }

  async #open(): Promise<void> {
    const { dataDir, name, natsAccess, redisCaFile, settings } = this.#options;
    this.#lock = lockDataFolder(dataDir);
    const register = createRunnerRegister(dataDir, this.#log);
    register.endPredecessors();

    const { signal } = this.#leaving;
    const log = this.#log;
    const [devices, gentle] = await Promise.all([
      findDevices(this.#options.devices, { log, signal }),
      tryGentleLoads(),
    ]);
    this.#raisesPriority = gentle !== 'session';
    const slots = this.#options.slots ?? devices.length * defaults.slotsPerDevice;
    this.#meter = new DeviceMeter(devices, this.#options.memoryBudgets);
    this.#goOn();
    const link = await waitForServer(
      () =>
        connectNats({
          servers: this.#options.natsUrl,
          ...(natsAccess === undefined ? {} : { access: natsAccess }),
          name: `troupe host ${name}`,
          namespace: settings.namespace,
          replicas: settings.natsReplicas,
          signal,
          log,
        }),
      { signal, log, advice: 'start it, or say where it is (--nats, NATS_URL)' },
    );
    this.#link = link;
    void link.closed.then((error) => this.#linkClosed(error));
    this.#goOn();
    const artifacts = createArtifactStore(link);
    this.#artifacts = artifacts;
    const store = createSnapshotStore({
      dir: dataDir,
      fetchTo: (digest, path) => artifacts.fetchTo(digest, path),
      log: this.#log,
    });
    await store.open();
    this.#goOn();

    const table = new WorkerTable({
      devices,
      slots,
      ...(this.#options.memoryBudgets === undefined ? {} : { memoryBudgets: this.#options.memoryBudgets }),
      surroundings: {
        host: name,
        natsUrl: this.#options.natsUrl,
        ...(natsAccess === undefined ? {} : { natsAccess }),
        settings,
        logLevel: this.#options.logLevel,
        log: this.#log,
        store,
        register,
        handBack: {
          nak: (message) => nakOnBehalf(link, message),
          answer: (message, error) =>
            answerOnBehalf(link, message, { replyTo: message.replyTo, doneTo: message.doneTo }, error),
          serverSinceMs: () => link.serverSinceMs(),
        },
        ...(this.#options.runnerEntry === undefined ? {} : { runnerEntry: this.#options.runnerEntry }),
        intraOpThreads: (device) => countIntraOpThreads(device, devices),
        loadGently: () => planGentleLoad(gentle),
        siblings: this.#siblings,
        notice: (worker, notice) => this.#notice(worker, notice),
      },
    });
    this.#table = table;
    const findRedis = waitForServer(
      () =>
        connectRedis({
          url: this.#options.redisUrl,
          ...(redisCaFile === undefined ? {} : { caFile: redisCaFile }),
          namespace: settings.namespace,
          // Below ttl/3, so that a renewal is over before the next one is due.
          commandTimeoutMs: Math.max(50, Math.floor((settings.leaseTtlMs / 3) * 0.9)),
          signal,
          log,
        }),
      { signal, log, advice: 'start it, or say where it is (--redis, REDIS_URL)' },
    );
    this.#resumeList = createResumeList({ dir: dataDir, log });
    this.#resume = new ResumeServing({ list: this.#resumeList, table, store, log });
    await this.#resume.unlessHere(findRedis, signal);
    const redis = await findRedis;
    this.#closeRedis = () => redis.close();
    this.#goOn();
    const leases = createRedisLeaseStore(redis);
    this.#leases = leases;

    const upkeep = new HostUpkeep({
      table,
      meter: this.#meter,
      leases,
      store,
      peersEveryMs: settings.leaseTtlMs,
      log: this.#log,
    });
    this.#upkeep = upkeep;

    const keeper = createLeaseKeeper({
      store: leases,
      host: name,
      ttlMs: settings.leaseTtlMs,
      log: this.#log,
      report: () => this.report(),
      isWatched: () => table.list().some((worker) => worker.isOnProbation),
      onEpoch: (epoch) => this.#gate.learn(epoch),
      onFenced: () => this.#standDown(),
    });
    this.#keeper = keeper;
    this.#outbox = new EventOutbox(
      () => keeper.renewNow(),
      (event) => publishEvent(link, event),
    );
    const commands = new HostCommands({
      host: name,
      devices,
      settings,
      log: this.#log,
      gate: this.#gate,
      store,
      table,
      isStopping: () => this.report().stopping,
      emit: (kind, text, data) => this.#emit(kind, text, data),
    });
    this.#stopCommands = serveHostCommands(link, name, (envelope) => commands.handle(envelope));
    keeper.start();
    await this.#waitRegistered(keeper);
    this.#resume.confirm();
    this.#goOn();

    await upkeep.start();
    if (this.#options.watch !== undefined) {
      this.#watch = await watchFolder({ folder: this.#options.watch, link, artifacts, log });
      this.#goOn();
    }
    this.#emit(EventKind.HostUp, `host ${name} is up with ${devices.length} device(s)`, {
      devices: devices.map((device) => device.name),
      slots,
    });
  }

  /** After every wait of the start: a stop that came meanwhile ends it there. */
  #goOn(): void {
    if (this.#closing !== undefined || this.#draining !== undefined) {
      throw new TroupeError('client.closed', 'the host was stopped while it started');
    }
  }

  async #waitRegistered(keeper: LeaseKeeper): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            keeper.lastError ??
              new TroupeError('redis.unreachable', `Redis took no registration within ${registerLimitMs} ms`),
          ),
        registerLimitMs,
      );
    });
    try {
      await Promise.race([keeper.registered, late, this.#stopAsked.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #emit(kind: EventKind, text: string, data: Readonly<Record<string, unknown>>): void {
    this.#outbox?.add({
      kind,
      source: `host/${this.#options.name}`,
      text,
      data: { host: this.#options.name, ...data },
    });
  }

  #notice(worker: Worker, notice: WorkerNotice): void {
    const { name } = this.#options;
    const leftOut = this.#bound.admit(worker, notice, performance.now());
    if (leftOut !== undefined) {
      for (const { kind, text, data } of describeNotice(name, worker, notice, leftOut)) {
        this.#emit(kind, text, data);
      }
    }
    // What a stopping host drains is what it shall serve again.
    if (this.#draining === undefined && this.#closing === undefined) this.#resume?.note();
    if (notice.kind !== 'state') return;
    const { model, version, device } = worker;
    const { condemned, reason } = worker.report();
    this.#log.info({ model, version, device, from: notice.from, to: notice.to, reason }, 'worker state');
    // Whoever covers for a condemned version does so whatever others serve.
    if (notice.to === 'fallback' && condemned === undefined) this.#upkeep?.lookForPeers();
  }

  /** Somebody registered under this name: everything goes, and the lease keeper registers anew later. */
  async #standDown(): Promise<void> {
    const { name } = this.#options;
    this.#emit(EventKind.HostFenced, `host ${name} was fenced: another host registered under its name`, {});
    this.#table?.close(`host ${name} was fenced`);
    await this.#table?.drainAll('another host registered under this name');
    if (this.#draining === undefined) this.#table?.close(undefined);
  }

  async #drainWorkers(): Promise<void> {
    const { name } = this.#options;
    this.#stopAsked.resolve();
    void this.#watch?.stop();
    this.#table?.close(`host ${name} is stopping`);
    this.#emit(EventKind.HostStopping, `host ${name} is stopping`, {});
    await this.#table?.drainAll('the host stops');
  }

  #linkClosed(error: Error | undefined): void {
    if (this.#closing !== undefined) return;
    this.#failure = new TroupeError('nats.failed', 'the connection to NATS was closed for good', {
      cause: error,
    });
    this.#log.fatal({ err: this.#failure }, 'the host ends');
    this.close().catch(() => undefined); // `closed` tells
  }

  async #shut(): Promise<void> {
    this.#stopAsked.resolve();
    // What is being opened is closed below; every step of opening has its own bound.
    await this.#opening?.catch(() => undefined);
    this.#upkeep?.stop();
    this.#table?.close(`host ${this.#options.name} is stopping`);
    const steps: (() => Promise<unknown> | undefined)[] = [
      () => this.#watch?.stop(),
      () => this.#table?.killAll(),
      () => this.#keeper?.release(),
      () => this.#stopCommands?.(),
      () => this.#outbox?.drained(),
      () => this.#resumeList?.idle(),
      () => this.#artifacts?.close(),
      () => this.#link?.close(),
      () => this.#leases?.close(),
      () => this.#closeRedis?.(),
    ];
    for (const step of steps) {
      try {
        await within(closeStepMs, step());
      } catch (error) {
        this.#log.warn({ err: error }, 'a step of closing failed');
      }
    }
    this.#lock?.release();
    this.#end.resolve(
      this.#failure === undefined ? { kind: 'stopped' } : { kind: 'failed', error: this.#failure },
    );
  }
}
