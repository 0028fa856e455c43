/** Every setting of a process of the cluster in one table: its key in `troupe.config.json`, environment name and flag. */
import { defaults } from './defaults.js';
import type { ClusterSettings } from './environment.js';
import { EnvName } from './environment.js';

export interface Setting {
  /** Key in `troupe.config.json`. */
  readonly key: string;
  /** Environment name. */
  readonly env: string;
  /** As commander takes it; absent where the setting has none. */
  readonly flag?: `--${string} <${string}>`;
  readonly text?: string;
  /** A flag of hosts alone. */
  readonly hostOnly?: true;
  /** Never shown. */
  readonly secret?: true;
  /** The field that holds it once read, for numbers of the whole cluster. */
  readonly field?: keyof ClusterSettings;
}

function number(field: keyof ClusterSettings, env: string): Setting {
  return { key: field, env, field };
}

/** In the order in which they are shown. */
export const settingCatalogue: readonly Setting[] = [
  {
    key: 'natsUrl',
    env: EnvName.NatsUrl,
    flag: '--nats <url>',
    text: 'NATS, or several separated by commas',
  },
  { key: 'natsUser', env: EnvName.NatsUser, flag: '--nats-user <name>', text: 'user of NATS' },
  {
    key: 'natsPassword',
    env: EnvName.NatsPassword,
    flag: '--nats-password <text>',
    text: 'its password; others may read a command line, so rather by environment',
    secret: true,
  },
  {
    key: 'natsToken',
    env: EnvName.NatsToken,
    flag: '--nats-token <text>',
    text: 'token of NATS',
    secret: true,
  },
  { key: 'natsCreds', env: EnvName.NatsCreds, flag: '--nats-creds <file>', text: 'credentials file of NATS' },
  { key: 'natsCa', env: EnvName.NatsCa, flag: '--nats-ca <file>', text: 'TLS: authority of NATS, as PEM' },
  { key: 'redisUrl', env: EnvName.RedisUrl, flag: '--redis <url>', text: 'Redis; rediss:// for TLS' },
  {
    key: 'redisCa',
    env: EnvName.RedisCa,
    flag: '--redis-ca <file>',
    text: 'TLS: authority of Redis, as PEM',
  },
  {
    key: 'namespace',
    env: EnvName.Namespace,
    flag: '--namespace <name>',
    text: 'keeps several clusters apart on the same servers',
    field: 'namespace',
  },
  {
    key: 'natsReplicas',
    env: EnvName.NatsReplicas,
    flag: '--nats-replicas <n>',
    text: 'copies of each stream: 1, 3 or 5; auto: 3 where NATS is a cluster, else 1',
    field: 'natsReplicas',
  },
  {
    key: 'hostName',
    env: EnvName.HostName,
    flag: '--name <name>',
    text: "name in the cluster; default: the machine's name",
    hostOnly: true,
  },
  {
    key: 'devices',
    env: EnvName.Devices,
    flag: '--devices <list>',
    text: 'devices, separated by commas: cpu:N, cuda:N, webgpu:N; auto: the GPUs that work, else cpu:0; default: cpu:0',
    hostOnly: true,
  },
  {
    key: 'slots',
    env: EnvName.Slots,
    flag: '--slots <n>',
    text: `workers that it has room for; default: ${defaults.slotsPerDevice} for each device`,
    hostOnly: true,
  },
  {
    key: 'dataFolder',
    env: EnvName.DataFolder,
    flag: '--data <folder>',
    text: 'folder of its own for artifacts; default: .troupe/host-<name>',
    hostOnly: true,
  },
  {
    key: 'watchFolder',
    env: EnvName.WatchFolder,
    flag: '--watch <folder>',
    text: 'put live what is put into <folder>/<model>/<version>/*.onnx, now and whenever it changes',
    hostOnly: true,
  },
  { key: 'logLevel', env: EnvName.LogLevel },
  number('deadlineMs', EnvName.DeadlineMs),
  number('ackWaitMs', EnvName.AckWaitMs),
  number('runLimitMs', EnvName.RunLimitMs),
  number('loadLimitMs', EnvName.LoadLimitMs),
  number('leaseTtlMs', EnvName.LeaseTtlMs),
  number('drainBoundMs', EnvName.DrainBoundMs),
  number('routeGraceMs', EnvName.RouteGraceMs),
  number('runnerSilenceMs', EnvName.RunnerSilenceMs),
  number('runnerStartMs', EnvName.RunnerStartMs),
  number('queueLimit', EnvName.QueueLimit),
  number('streamBytes', EnvName.StreamBytes),
  number('credits', EnvName.Credits),
  number('idleMs', EnvName.IdleMs),
  {
    key: 'memoryBudget',
    env: EnvName.MemoryBudget,
    flag: '--memory-budget <list>',
    text: 'memory for the models of each device: 2GiB, or cpu:0=600MiB,cuda:0=20GiB',
    hostOnly: true,
  },
];

/** The long flag alone: `--nats-user`. */
export function flagName(flag: string): string {
  return flag.split(' ', 1)[0] ?? flag;
}
