/**
 * `cluster.doctor`: looks at the servers, the cluster and this process, and says what is wrong and how to mend it.
 * Only reads; answered by whichever coordinator is asked. What is good or bad is decided by the judges beside this file.
 */
import { type ClusterSettings, type LeaseStore, type RegistryStore, TroupeError } from '@troupe/shared';
import {
  type AdminEndpoint,
  type NatsLink,
  noteRefusals,
  type PermissionRefusal,
  readEventClocks,
  readJetStream,
  readNatsServer,
  readRecordStreams,
  readReplicas,
  readWorkStreams,
  tryPermissions,
} from '@troupe/shared/nats';
import {
  type RedisConnection,
  readRedisClockOffset,
  readRedisFacts,
  readRedisRights,
} from '@troupe/shared/redis';
import type { RoutingTable } from '../../data/routing-table.js';
import { judgeEventClocks, judgeRedisClock } from './judge-clocks.js';
import {
  judgeFiles,
  judgeHosts,
  judgeLeader,
  judgeModels,
  judgeVersions,
  judgeWorkers,
} from './judge-cluster.js';
import {
  judgeJetStream,
  judgeNatsServer,
  judgeRecordStreams,
  judgeStranded,
  judgeWorkConsumers,
  judgeWorkStreams,
} from './judge-nats.js';
import { judgeNatsPermissions, judgeRedisRights } from './judge-permissions.js';
import { judgeRedis } from './judge-redis.js';
import { judgeReplicas } from './judge-replicas.js';
import { readOpenFiles } from './open-files.js';
import { type Check, runChecks } from './run-checks.js';

export interface DoctorOptions {
  readonly link: NatsLink;
  readonly redis: RedisConnection;
  readonly registry: RegistryStore;
  readonly leases: LeaseStore;
  readonly table: Pick<RoutingTable, 'entry'>;
  readonly settings: ClusterSettings;
  /** Name of this coordinator. */
  readonly owner: string;
  readonly troupeVersion: string;
}

const checkBoundMs = 5_000;
/** How far to look back for events that tell a clock. */
const clockEventCount = 500;

/** The endpoint; it takes no arguments. */
export function createDoctorEndpoint(options: DoctorOptions): AdminEndpoint {
  const refusals = noteRefusals(options.link);
  return {
    noun: 'cluster',
    verb: 'doctor',
    handle: async (args) => {
      const [name] = Object.keys(args);
      if (name !== undefined) {
        throw new TroupeError('request.arguments', `cluster.doctor takes no arguments, not "${name}"`);
      }
      return { findings: await runChecks(createChecks(options, refusals), checkBoundMs) };
    },
  };
}

type Refusals = () => readonly PermissionRefusal[];

function createChecks(options: DoctorOptions, refusals: Refusals): Check[] {
  return [...natsChecks(options, refusals), ...redisChecks(options), ...clusterChecks(options)];
}

function natsChecks({ link, registry, table, settings }: DoctorOptions, refusals: Refusals): Check[] {
  const { queueLimit, streamBytes, ackWaitMs } = settings;
  return [
    { name: 'nats.version', run: async () => judgeNatsServer(readNatsServer(link)) },
    {
      name: 'nats.permissions',
      run: async () => judgeNatsPermissions(await tryPermissions(link, 'coordinator'), refusals()),
    },
    { name: 'nats.jetstream', run: async () => judgeJetStream(await readJetStream(link)) },
    { name: 'nats.records', run: async () => judgeRecordStreams(await readRecordStreams(link)) },
    { name: 'nats.replicas', run: async () => judgeReplicas(await readReplicas(link)) },
    {
      name: 'work.streams',
      run: async () => {
        // Without Redis the versions' own limits are not known; then only the cluster's is right.
        const models = await registry.read().then(
          (snapshot) => snapshot.models,
          () => undefined,
        );
        const queueLimits = (model: string) => [
          queueLimit,
          ...Object.values(models?.[model]?.versions ?? {}).flatMap(({ limits }) => limits.queueLimit ?? []),
        ];
        const streams = await readWorkStreams(link, { queueLimit, streamBytes, ackWaitMs }, queueLimits);
        return [
          ...judgeWorkStreams(streams, streamBytes),
          ...judgeWorkConsumers(streams),
          ...judgeStranded(
            streams,
            (model) => table.entry(model),
            (version) => link.subjects.workConsumer(version),
          ),
        ];
      },
    },
  ];
}

function redisChecks({ redis }: DoctorOptions): Check[] {
  return [
    { name: 'redis', run: async () => judgeRedis(await readRedisFacts(redis)) },
    { name: 'redis.permissions', run: async () => judgeRedisRights(await readRedisRights(redis)) },
    { name: 'clock.redis', run: async () => judgeRedisClock(await readRedisClockOffset(redis)) },
  ];
}

function clusterChecks(options: DoctorOptions): Check[] {
  const { link, registry, leases, table, settings, owner, troupeVersion } = options;
  const routes = async () => {
    const { models } = await registry.read();
    return Object.keys(models)
      .sort()
      .flatMap((name) => table.entry(name) ?? []);
  };
  return [
    {
      name: 'clock.hosts',
      run: async () => {
        const [clocks, hosts] = await Promise.all([
          readEventClocks(link, clockEventCount),
          leases.listHosts(),
        ]);
        return judgeEventClocks(clocks, [`coordinator/${owner}`, ...hosts.map(({ host }) => `host/${host}`)]);
      },
    },
    {
      name: 'cluster.leader',
      run: async () => {
        const [leader, entries] = await Promise.all([leases.leader(), routes()]);
        return judgeLeader(leader, entries);
      },
    },
    {
      name: 'hosts',
      run: async () => {
        const [hosts, leader] = await Promise.all([leases.listHosts(), leases.leader()]);
        return [
          ...judgeHosts(hosts, settings.leaseTtlMs, leader?.epoch),
          ...judgeVersions(hosts, troupeVersion),
          ...judgeWorkers(hosts),
        ];
      },
    },
    { name: 'models', run: async () => judgeModels(await routes()) },
    { name: 'process.files', run: async () => judgeFiles(await readOpenFiles()) },
  ];
}
