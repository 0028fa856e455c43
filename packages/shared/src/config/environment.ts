/**
 * The only reader of `process.env`, and the catalogue of environment names. Configuration faults throw
 * `config.invalid` with field, value and environment name; nothing is clamped.
 */
import { resolve } from 'node:path';
import { type MemoryBudgets, parseMemoryBudgets } from '../control/memory-budget.js';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { defaultNamespace, parseNamespace, quoteName } from '../names/namespace.js';
import { defaults } from './defaults.js';
import type { NatsAccess } from './server-access.js';

/** Environment names that Troupe reads. */
export const EnvName = {
  NatsUrl: 'NATS_URL',
  NatsUser: 'NATS_USER',
  NatsPassword: 'NATS_PASSWORD',
  NatsToken: 'NATS_TOKEN',
  NatsCreds: 'NATS_CREDS',
  NatsCa: 'NATS_CA',
  RedisUrl: 'REDIS_URL',
  RedisCa: 'REDIS_CA',
  Namespace: 'TROUPE_NAMESPACE',
  HostName: 'TROUPE_HOST_NAME',
  Devices: 'TROUPE_DEVICES',
  Slots: 'TROUPE_SLOTS',
  DataFolder: 'TROUPE_DATA',
  WatchFolder: 'TROUPE_WATCH',
  LogLevel: 'TROUPE_LOG_LEVEL',
  ReadyFd: 'TROUPE_READY_FD',
  DeadlineMs: 'TROUPE_DEADLINE_MS',
  AckWaitMs: 'TROUPE_ACK_WAIT_MS',
  RunLimitMs: 'TROUPE_RUN_LIMIT_MS',
  LoadLimitMs: 'TROUPE_LOAD_LIMIT_MS',
  LeaseTtlMs: 'TROUPE_LEASE_TTL_MS',
  DrainBoundMs: 'TROUPE_DRAIN_BOUND_MS',
  RouteGraceMs: 'TROUPE_ROUTE_GRACE_MS',
  RunnerSilenceMs: 'TROUPE_RUNNER_SILENCE_MS',
  RunnerStartMs: 'TROUPE_RUNNER_START_MS',
  QueueLimit: 'TROUPE_QUEUE_LIMIT',
  StreamBytes: 'TROUPE_STREAM_BYTES',
  Credits: 'TROUPE_CREDITS',
  IdleMs: 'TROUPE_IDLE_MS',
  MemoryBudget: 'TROUPE_MEMORY_BUDGET',
  NatsReplicas: 'TROUPE_NATS_REPLICAS',
  TraceShare: 'TROUPE_TRACE_SHARE',
} as const;

/** Cluster-wide numbers after the environment was read. */
export interface ClusterSettings {
  readonly namespace: string;
  readonly deadlineMs: number;
  readonly ackWaitMs: number;
  readonly runLimitMs: number;
  readonly loadLimitMs: number;
  readonly leaseTtlMs: number;
  readonly drainBoundMs: number;
  readonly routeGraceMs: number;
  readonly runnerSilenceMs: number;
  readonly runnerStartMs: number;
  readonly queueLimit: number;
  readonly streamBytes: number;
  readonly credits: number;
  /** How long a model on demand stays without a request, where it says nothing itself. */
  readonly idleMs: number;
  readonly natsReplicas: NatsReplicas;
}

/** Copies of each stream; `auto`: one, or three where the NATS server is a cluster. */
export type NatsReplicas = 'auto' | 1 | 3 | 5;

/** What a process reads from its environment. */
export interface Environment {
  readonly natsUrl: string | undefined;
  readonly natsAccess: NatsAccess;
  readonly redisUrl: string | undefined;
  readonly redisCaFile: string | undefined;
  readonly logLevel: string | undefined;
  /** File descriptor on which readiness is told to a supervisor by the line `ready`. */
  readonly readyFd: number | undefined;
  /** What the workers of each device of a host may use; `undefined`: slots alone are the limit. */
  readonly memoryBudgets: MemoryBudgets | undefined;
  /** Of a client's calls outside of any trace, those that OpenTelemetry is asked about, from 0 to 1. */
  readonly traceShare: number;
  readonly cluster: ClusterSettings;
}

/** Names and texts, as a process has them in its environment. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** How a message calls a setting: by its environment name, or by where its value really came from. */
export type NameSource = (name: string) => string;

function readInteger(
  variables: Variables,
  name: string,
  fallback: number,
  min: number,
  max: number,
  call: NameSource,
): number {
  const text = variables[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new TroupeError(
    'config.invalid',
    `${call(name)}=${quoteName(text)} is not allowed: a whole number from ${min} to ${max}`,
  );
}

/** From 0 to 1. */
function readShare(variables: Variables, name: string, fallback: number, call: NameSource): number {
  const text = readText(variables, name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value <= 1) return value;
  throw new TroupeError(
    'config.invalid',
    `${call(name)}=${quoteName(text)} is not allowed: a number from 0 to 1, like 0.01`,
  );
}

function readText(variables: Variables, name: string): string | undefined {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : text;
}

const natsReplicas: readonly NatsReplicas[] = ['auto', 1, 3, 5];

function readNatsReplicas(variables: Variables, call: NameSource): NatsReplicas {
  const text = readText(variables, EnvName.NatsReplicas) ?? 'auto';
  const found = natsReplicas.find((one) => String(one) === text);
  if (found !== undefined) return found;
  throw new TroupeError(
    'config.invalid',
    `${call(EnvName.NatsReplicas)}=${quoteName(text)} is not allowed: auto, 1, 3 or 5`,
  );
}

function readMemoryBudgets(variables: Variables, call: NameSource): MemoryBudgets | undefined {
  const text = readText(variables, EnvName.MemoryBudget);
  if (text === undefined) return undefined;
  try {
    return parseMemoryBudgets(text);
  } catch (thrown) {
    const message = `${call(EnvName.MemoryBudget)}: ${asTroupeError(thrown).message}`;
    throw new TroupeError('config.invalid', message, { cause: thrown });
  }
}

/** Absolute: runners are told it, too. */
function readPath(variables: Variables, name: string): string | undefined {
  const path = readText(variables, name);
  return path === undefined ? undefined : resolve(path);
}

/** Leaves out what is not set: it travels to runners and into options. */
function readNatsAccess(variables: Variables, call: NameSource): NatsAccess {
  const user = readText(variables, EnvName.NatsUser);
  const password = readText(variables, EnvName.NatsPassword);
  const token = readText(variables, EnvName.NatsToken);
  const credsFile = readPath(variables, EnvName.NatsCreds);
  const caFile = readPath(variables, EnvName.NatsCa);
  if (password !== undefined && user === undefined) {
    throw new TroupeError(
      'config.invalid',
      `${call(EnvName.NatsPassword)} is given, but no user (${EnvName.NatsUser})`,
    );
  }
  const kinds = [
    ...(user === undefined ? [] : [call(EnvName.NatsUser)]),
    ...(token === undefined ? [] : [call(EnvName.NatsToken)]),
    ...(credsFile === undefined ? [] : [call(EnvName.NatsCreds)]),
  ];
  if (kinds.length > 1) {
    throw new TroupeError(
      'config.invalid',
      `${kinds.join(' and ')} are given: credentials for NATS are user and password, or a token, or a file`,
    );
  }
  return {
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(token === undefined ? {} : { token }),
    ...(credsFile === undefined ? {} : { credsFile }),
    ...(caFile === undefined ? {} : { caFile }),
  };
}

/** The process' own environment. */
export function currentVariables(): Variables {
  return process.env;
}

/** Reads and checks everything at once, so that a fault shows at start and not at first use. */
export function readEnvironment(
  variables: Variables = process.env,
  call: NameSource = (name) => name,
): Environment {
  const hour = 3_600_000;
  const integer = (name: string, fallback: number, min: number, max: number) =>
    readInteger(variables, name, fallback, min, max, call);
  const duration = (name: string, fallback: number, min = 1) => integer(name, fallback, min, hour);
  const readyFd = readText(variables, EnvName.ReadyFd);
  return {
    natsUrl: readText(variables, EnvName.NatsUrl),
    natsAccess: readNatsAccess(variables, call),
    redisUrl: readText(variables, EnvName.RedisUrl),
    redisCaFile: readPath(variables, EnvName.RedisCa),
    logLevel: readText(variables, EnvName.LogLevel),
    memoryBudgets: readMemoryBudgets(variables, call),
    traceShare: readShare(variables, EnvName.TraceShare, defaults.traceShare, call),
    readyFd: readyFd === undefined ? undefined : integer(EnvName.ReadyFd, 3, 3, 255),
    cluster: {
      namespace: parseNamespace(readText(variables, EnvName.Namespace) ?? defaultNamespace),
      deadlineMs: integer(EnvName.DeadlineMs, defaults.deadlineMs, 1, defaults.maxDeadlineMs),
      ackWaitMs: duration(EnvName.AckWaitMs, defaults.ackWaitMs, 200),
      runLimitMs: duration(EnvName.RunLimitMs, defaults.runLimitMs, 10),
      loadLimitMs: duration(EnvName.LoadLimitMs, defaults.loadLimitMs, 100),
      leaseTtlMs: duration(EnvName.LeaseTtlMs, defaults.leaseTtlMs, 300),
      drainBoundMs: duration(EnvName.DrainBoundMs, defaults.drainBoundMs),
      routeGraceMs: duration(EnvName.RouteGraceMs, defaults.routeGraceMs),
      runnerSilenceMs: duration(EnvName.RunnerSilenceMs, defaults.runnerSilenceMs, 200),
      runnerStartMs: duration(EnvName.RunnerStartMs, defaults.runnerStartMs, 200),
      queueLimit: integer(EnvName.QueueLimit, defaults.queueLimit, 1, 10_000_000),
      streamBytes: integer(EnvName.StreamBytes, defaults.streamBytes, 1024, 2 ** 40),
      credits: integer(EnvName.Credits, defaults.credits, 1, 100_000),
      idleMs: integer(EnvName.IdleMs, defaults.idleMs, 100, 30 * 24 * hour),
      natsReplicas: readNatsReplicas(variables, call),
    },
  };
}

/** What `CUDA_VISIBLE_DEVICES` says: the GPUs that CUDA shows this process and its children; absent: all. */
export function readVisibleGpus(variables: Variables = process.env): string | undefined {
  return variables.CUDA_VISIBLE_DEVICES;
}

/**
 * Environment of a child process: ours, with changes on top. `cuda:N` counts GPUs in the order of the PCI bus, as
 * nvidia-smi does, unless our own environment says otherwise.
 */
export function childEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', ...process.env, ...changes };
}
