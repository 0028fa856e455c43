/**
 * A whole cluster for tests: real servers on random ports, coordinators and hosts from the built bins, each in a
 * folder of its own under one temporary directory. `stop()` ends everything in order and throws where a process is
 * left over. Logs of all processes are kept until then: `printLogsOnFailure` shows them with a failing test.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ConnectOptions, connect, type TroupeClient } from '@troupe/client';
import { type BareNatsClient, connectBare } from './bare-nats-client.js';
import { type NatsServer, type NatsServerOptions, startNats } from './nats-server.js';
import {
  childrenOf,
  clusterMark,
  guardMark,
  livingProcesses,
  startProcess,
  type TroupeProcess,
} from './process.js';
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.js';
import { removeDirectory, temporaryDirectory } from './server-process.js';
import { startRelay, type TcpRelay } from './tcp-relay.js';
import { waitUntil } from './wait-until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bins = {
  host: join(root, 'packages/worker/bin/troupe-worker.js'),
  coordinator: join(root, 'packages/coordinator/bin/troupe-coordinator.js'),
};

export interface HostOptions {
  /** Default `host-1`, `host-2`, … */
  readonly name?: string;
  /** Default that of the cluster. */
  readonly devices?: string;
  /** Default the host's own. */
  readonly slots?: number;
  /** Puts relays between the host and its servers, for `cut` and `heal`. Default false: relays cost time. */
  readonly relayed?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Further arguments, for example `['--watch=models']`. */
  readonly args?: readonly string[];
}

export interface ClusterOptions {
  /** Default 1. */
  readonly hosts?: number;
  /** Default 1. */
  readonly coordinators?: number;
  /** Default `cpu:0,cpu:1`. */
  readonly devices?: string;
  readonly slots?: number;
  readonly relayed?: boolean;
  /** For all processes of ours; for example `TROUPE_ACK_WAIT_MS`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default `troupe`. */
  readonly namespace?: string;
  /** A server of the test's own, or how to start one. */
  readonly nats?: NatsServer | NatsServerOptions;
  readonly redis?: RedisServer | RedisServerOptions;
}

/** The servers of a host between which a cable can be cut. */
export type Cable = 'nats' | 'redis';

export interface ClusterHost extends TroupeProcess {
  /** Folder with its artifacts. */
  readonly dataDir: string;
  /** Process ids of its runners, ascending. */
  runnerPids(): number[];
  /** Lets nothing through between the host (with its runners) and a server, default both. Needs `relayed`. */
  cut(cable?: Cable): void;
  heal(cable?: Cable): void;
}

export interface TestCluster {
  readonly natsUrl: string;
  readonly redisUrl: string;
  readonly namespace: string;
  readonly nats: NatsServer;
  readonly redis: RedisServer;
  /** In the order of their start, the ended ones, too. */
  readonly hosts: readonly ClusterHost[];
  readonly coordinators: readonly TroupeProcess[];
  /** A client of the SDK; closed by `stop()`. */
  connect(options?: ConnectOptions): Promise<TroupeClient>;
  /** A client that speaks plain NATS; closed by `stop()`. */
  connectBare(): Promise<BareNatsClient>;
  startHost(options?: HostOptions): Promise<ClusterHost>;
  startCoordinator(): Promise<TroupeProcess>;
  /** Every process of ours that lives: coordinators, hosts, runners, trials. */
  living(): { readonly pid: number; readonly command: string }[];
  /** What all processes have printed, the newest part of each. */
  logs(): string;
  /** Ends all; throws where a process of ours is left. Idempotent. */
  stop(): Promise<void>;
}

function isServer<T extends { readonly url: string }>(given: T | object | undefined): given is T {
  return given !== undefined && 'url' in given;
}

/** Starts a cluster and resolves once a coordinator answers and every host has its lease. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const mark = randomBytes(8).toString('hex');
  const unguard = guardMark(mark);
  const folder = temporaryDirectory('cluster');
  const namespace = options.namespace ?? 'troupe';
  const hosts: ClusterHost[] = [];
  const coordinators: TroupeProcess[] = [];
  const relays: TcpRelay[] = [];
  const clients = new Set<{ close(): void | Promise<void> }>();
  let nats: NatsServer | undefined;
  let redis: RedisServer | undefined;
  let stopped: Promise<void> | undefined;

  const natsServer = () => nats as NatsServer;
  const redisServer = () => redis as RedisServer;
  const environment = (
    urls: { nats: string; redis: string },
    extra: Readonly<Record<string, string>> = {},
  ) => {
    // What a developer has set for a cluster of his own must not reach this one.
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(TROUPE_(?!RUN_ID)|NATS_|REDIS_|npm_)/.test(name),
    );
    return {
      ...Object.fromEntries(own),
      NODE_OPTIONS: '',
      NATS_URL: urls.nats,
      REDIS_URL: urls.redis,
      TROUPE_NAMESPACE: namespace,
      [clusterMark]: mark,
      ...options.env,
      ...extra,
    };
  };
  const serverUrls = () => ({ nats: natsServer().url, redis: redisServer().url });

  async function startCoordinator(): Promise<TroupeProcess> {
    const name = `coordinator-${coordinators.length + 1}`;
    const coordinator = await startProcess({
      name,
      bin: bins.coordinator,
      args: [],
      env: environment(serverUrls()),
      logPath: join(folder, `${name}.log`),
    });
    coordinators.push(coordinator);
    return coordinator;
  }

  async function startHost(hostOptions: HostOptions = {}): Promise<ClusterHost> {
    const name = hostOptions.name ?? `host-${hosts.length + 1}`;
    const slots = hostOptions.slots ?? options.slots;
    const cables = new Map<Cable, TcpRelay>();
    const urls = serverUrls();
    if (hostOptions.relayed ?? options.relayed ?? false) {
      cables.set('nats', await startRelay(natsServer().port));
      cables.set('redis', await startRelay(redisServer().port));
      relays.push(...cables.values());
      urls.nats = `nats://127.0.0.1:${cables.get('nats')?.port}`;
      urls.redis = `redis://127.0.0.1:${cables.get('redis')?.port}`;
    }
    const data = join(folder, name);
    mkdirSync(data, { recursive: true });
    const child = await startProcess({
      name,
      bin: bins.host,
      args: [
        `--name=${name}`,
        `--devices=${hostOptions.devices ?? options.devices ?? 'cpu:0,cpu:1'}`,
        `--data=${data}`,
        ...(slots === undefined ? [] : [`--slots=${slots}`]),
        ...(hostOptions.args ?? []),
      ],
      env: environment(urls, hostOptions.env),
      logPath: join(folder, `${name}.log`),
    });
    const each = (cable: Cable | undefined, act: (relay: TcpRelay) => void) => {
      if (cables.size === 0) throw new Error(`${name} was not started with relays: there is no cable to cut`);
      for (const [which, relay] of cables) if (cable === undefined || cable === which) act(relay);
    };
    const host: ClusterHost = Object.defineProperties(
      {
        dataDir: data,
        runnerPids: () => childrenOf(child.pid, '/runner/main'),
        cut: (cable?: Cable) => each(cable, (relay) => relay.cut()),
        heal: (cable?: Cable) => each(cable, (relay) => relay.heal()),
      },
      Object.getOwnPropertyDescriptors(child),
    ) as ClusterHost;
    hosts.push(host);
    return host;
  }

  async function stopAll(): Promise<void> {
    const faults: unknown[] = [];
    const attempt = async (what: () => unknown) => {
      try {
        await what();
      } catch (error) {
        faults.push(error);
      }
    };
    for (const relay of relays) relay.heal();
    for (const client of clients) await attempt(() => client.close());
    await Promise.all(hosts.map((host) => attempt(() => host.stop())));
    await Promise.all(coordinators.map((coordinator) => attempt(() => coordinator.stop())));
    const left = await settle(() => livingProcesses(mark));
    if (left.length > 0) {
      const list = left.map(({ pid, command }) => `${pid} ${command}`).join('\n');
      faults.push(new Error(`left over after the cluster was stopped:\n${list}`));
      for (const { pid } of left) process.kill(pid, 'SIGKILL');
    }
    for (const relay of relays) await attempt(() => relay.close());
    if (!isServer(options.nats)) await attempt(() => nats?.stop());
    if (!isServer(options.redis)) await attempt(() => redis?.stop());
    if (faults.length > 0) {
      const logs = allLogs();
      removeDirectory(folder);
      throw new AggregateError(faults, `${faults.map(String).join('\n')}\n${logs}`);
    }
    removeDirectory(folder);
    unguard();
  }

  const allLogs = () =>
    [...coordinators, ...hosts].map((child) => `--- ${child.name} (${child.pid})\n${child.log()}`).join('\n');

  const cluster: TestCluster = {
    get natsUrl() {
      return natsServer().url;
    },
    get redisUrl() {
      return redisServer().url;
    },
    get nats() {
      return natsServer();
    },
    get redis() {
      return redisServer();
    },
    namespace,
    hosts,
    coordinators,
    async connect(connectOptions = {}) {
      const client = await connect({ servers: natsServer().url, namespace, ...connectOptions });
      clients.add(client);
      return client;
    },
    async connectBare() {
      const client = await connectBare(natsServer().url);
      clients.add(client);
      return client;
    },
    startHost,
    startCoordinator,
    living: () => livingProcesses(mark),
    logs: allLogs,
    stop() {
      stopped ??= stopAll();
      return stopped;
    },
  };

  try {
    nats = isServer<NatsServer>(options.nats) ? options.nats : await startNats(options.nats);
    redis = isServer<RedisServer>(options.redis) ? options.redis : await startRedis(options.redis);
    for (let index = 0; index < (options.coordinators ?? 1); index += 1) await startCoordinator();
    for (let index = 0; index < (options.hosts ?? 1); index += 1) await startHost();
    if (hosts.length > 0 && coordinators.length > 0) {
      const client = await cluster.connect();
      await waitUntil('every host has its lease', async () => (await client.hosts()).length === hosts.length);
      clients.delete(client);
      await client.close();
    }
    return cluster;
  } catch (error) {
    await cluster.stop().catch(() => undefined);
    throw error;
  }
}

/** The last value of a list that should become empty: polled for twenty seconds at most. */
async function settle<T>(read: () => T[]): Promise<T[]> {
  try {
    await waitUntil('nothing is left', () => read().length === 0, { timeoutMs: 20_000 });
    return [];
  } catch {
    return read();
  }
}

/** An `afterEach` hook that prints what the processes said when the test before it has failed. */
export function printLogsOnFailure(cluster: () => TestCluster | undefined): () => void {
  return function (this: unknown) {
    const { currentTest } = this as Mocha.Context;
    if (currentTest?.state !== 'failed') return;
    console.error(cluster()?.logs() ?? 'the cluster did not start');
  };
}
