/** Real nats-server and redis-server, coordinators in this process, and stand-in hosts: for integration tests. */
import { createHash } from 'node:crypto';
import {
  type ClusterSettings,
  createLog,
  type LeaseStore,
  type RegistryStore,
  readEnvironment,
} from '@troupe/shared';
import {
  type ArtifactStore,
  callAdmin,
  connectNats,
  createArtifactStore,
  type NatsLink,
} from '@troupe/shared/nats';
import { connectRedis, createRedisLeaseStore, createRedisRegistryStore } from '@troupe/shared/redis';
import { type BareNatsClient, connectBare } from '../../../../test/harness/bare-nats-client.js';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { type Coordinator, createCoordinator } from '../../src/index.js';
import { StandInHost, type StandInHostOptions } from './stand-in-host.js';

const log = createLog('test', process.argv.includes('--show-log') ? 'debug' : 'silent');

export class TestCluster {
  readonly nats: NatsServer;
  readonly redis: RedisServer;
  readonly link: NatsLink;
  readonly leases: LeaseStore;
  readonly registry: RegistryStore;
  readonly artifacts: ArtifactStore;
  readonly bare: BareNatsClient;
  readonly settings: ClusterSettings;
  readonly coordinators: Coordinator[] = [];
  readonly #hosts: { readonly host: StandInHost; readonly link: NatsLink }[] = [];
  readonly #closeRedis: () => Promise<void>;

  private constructor(parts: {
    nats: NatsServer;
    redis: RedisServer;
    link: NatsLink;
    leases: LeaseStore;
    registry: RegistryStore;
    bare: BareNatsClient;
    settings: ClusterSettings;
    closeRedis: () => Promise<void>;
  }) {
    this.nats = parts.nats;
    this.redis = parts.redis;
    this.link = parts.link;
    this.leases = parts.leases;
    this.registry = parts.registry;
    this.bare = parts.bare;
    this.settings = parts.settings;
    this.artifacts = createArtifactStore(parts.link);
    this.#closeRedis = parts.closeRedis;
  }

  static async start(settings: Partial<ClusterSettings> = {}): Promise<TestCluster> {
    const all: ClusterSettings = {
      ...readEnvironment({}).cluster,
      leaseTtlMs: 1_500,
      routeGraceMs: 300,
      deadlineMs: 5_000,
      ...settings,
    };
    const [nats, redis] = await Promise.all([startNats(), startRedis()]);
    try {
      const link = await connectNats({ servers: nats.url, name: 'test', namespace: all.namespace });
      const connection = await connectRedis({ url: redis.url, namespace: all.namespace });
      return new TestCluster({
        nats,
        redis,
        link,
        leases: createRedisLeaseStore(connection),
        registry: createRedisRegistryStore(connection),
        bare: await connectBare(nats.url),
        settings: all,
        closeRedis: () => connection.close(),
      });
    } catch (error) {
      await Promise.all([nats.stop(), redis.stop()]);
      throw error;
    }
  }

  async startCoordinator(name: string): Promise<Coordinator> {
    const coordinator = createCoordinator({
      name,
      natsUrl: this.nats.url,
      redisUrl: this.redis.url,
      settings: this.settings,
      log: log.child({ coordinator: name }),
      drainBoundMs: 2_000,
    });
    this.coordinators.push(coordinator);
    await coordinator.start();
    return coordinator;
  }

  async startHost(
    name: string,
    options: Partial<Pick<StandInHostOptions, 'devices' | 'slots'>> = {},
  ): Promise<StandInHost> {
    const link = await connectNats({
      servers: this.nats.url,
      name: `host ${name}`,
      namespace: this.settings.namespace,
    });
    const host = new StandInHost({ name, link, leases: this.leases, settings: this.settings, ...options });
    this.#hosts.push({ host, link });
    await host.start();
    return host;
  }

  /** Uploads bytes that stand for a model; returns its digest. */
  async upload(content: string): Promise<{ digest: string; sizeBytes: number }> {
    const bytes = Buffer.from(content);
    const digest = createHash('sha256').update(bytes).digest('hex');
    await this.artifacts.put(digest, bytes);
    return { digest, sizeBytes: bytes.length };
  }

  async register(
    name: string,
    content: string,
    args: Readonly<Record<string, unknown>> = {},
  ): Promise<unknown> {
    return this.admin('models', 'register', { name, ...(await this.upload(content)), ...args });
  }

  admin(
    noun: string,
    verb: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs = 15_000,
  ): Promise<unknown> {
    return callAdmin(this.link, noun, verb, args, { timeoutMs });
  }

  /** A request as a plain NATS client sends it. */
  async infer(
    path: string,
    payload = '{"inputs":[]}',
    options: { headers?: Readonly<Record<string, string>>; timeoutMs?: number } = {},
  ): Promise<{ body: Record<string, unknown>; headers: Readonly<Record<string, string>> }> {
    const message = await this.bare.request(`${this.settings.namespace}.infer.${path}`, payload, options);
    const text = message.payload.toString('utf8');
    if (text === '') throw new Error(`empty answer, status ${message.status ?? 'none'}`);
    return { body: JSON.parse(text) as Record<string, unknown>, headers: message.headers };
  }

  async stop(): Promise<void> {
    this.bare.close();
    await Promise.all(this.#hosts.map(({ host }) => host.stop()));
    await Promise.all(this.coordinators.map((coordinator) => coordinator.close()));
    await Promise.all(this.#hosts.map(({ link }) => link.close()));
    await this.artifacts.close();
    await this.link.close();
    await this.leases.close();
    await this.registry.close();
    await this.#closeRedis();
    await Promise.all([this.nats.stop(), this.redis.stop()]);
  }
}
