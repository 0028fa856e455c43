/**
 * The only reader of `process.env`, and the catalogue of environment names. Configuration faults throw
 * `config.invalid` with field, value and environment name; nothing is clamped.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { defaultNamespace, parseNamespace, quoteName } from '../names/namespace.js';
import { defaults } from './defaults.js';

/** Environment names that Troupe reads. */
export const EnvName = {
  NatsUrl: 'NATS_URL',
  RedisUrl: 'REDIS_URL',
  Namespace: 'TROUPE_NAMESPACE',
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
  QueueLimit: 'TROUPE_QUEUE_LIMIT',
  StreamBytes: 'TROUPE_STREAM_BYTES',
  Credits: 'TROUPE_CREDITS',
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
  readonly queueLimit: number;
  readonly streamBytes: number;
  readonly credits: number;
}

/** What a process reads from its environment. */
export interface Environment {
  readonly natsUrl: string | undefined;
  readonly redisUrl: string | undefined;
  readonly logLevel: string | undefined;
  /** File descriptor on which readiness is told to a supervisor by the line `ready`. */
  readonly readyFd: number | undefined;
  readonly cluster: ClusterSettings;
}

type Variables = Readonly<Record<string, string | undefined>>;

function readInteger(variables: Variables, name: string, fallback: number, min: number, max: number): number {
  const text = variables[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new TroupeError(
    'config.invalid',
    `${name}=${quoteName(text)} is not allowed: a whole number from ${min} to ${max}`,
  );
}

function readText(variables: Variables, name: string): string | undefined {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : text;
}

/** Reads and checks everything at once, so that a fault shows at start and not at first use. */
export function readEnvironment(variables: Variables = process.env): Environment {
  const hour = 3_600_000;
  const duration = (name: string, fallback: number, min = 1) =>
    readInteger(variables, name, fallback, min, hour);
  const readyFd = readText(variables, EnvName.ReadyFd);
  return {
    natsUrl: readText(variables, EnvName.NatsUrl),
    redisUrl: readText(variables, EnvName.RedisUrl),
    logLevel: readText(variables, EnvName.LogLevel),
    readyFd: readyFd === undefined ? undefined : readInteger(variables, EnvName.ReadyFd, 3, 3, 255),
    cluster: {
      namespace: parseNamespace(readText(variables, EnvName.Namespace) ?? defaultNamespace),
      deadlineMs: readInteger(variables, EnvName.DeadlineMs, defaults.deadlineMs, 1, defaults.maxDeadlineMs),
      ackWaitMs: duration(EnvName.AckWaitMs, defaults.ackWaitMs, 200),
      runLimitMs: duration(EnvName.RunLimitMs, defaults.runLimitMs, 10),
      loadLimitMs: duration(EnvName.LoadLimitMs, defaults.loadLimitMs, 100),
      leaseTtlMs: duration(EnvName.LeaseTtlMs, defaults.leaseTtlMs, 300),
      drainBoundMs: duration(EnvName.DrainBoundMs, defaults.drainBoundMs),
      routeGraceMs: duration(EnvName.RouteGraceMs, defaults.routeGraceMs),
      runnerSilenceMs: duration(EnvName.RunnerSilenceMs, defaults.runnerSilenceMs, 200),
      queueLimit: readInteger(variables, EnvName.QueueLimit, defaults.queueLimit, 1, 10_000_000),
      streamBytes: readInteger(variables, EnvName.StreamBytes, defaults.streamBytes, 1024, 2 ** 40),
      credits: readInteger(variables, EnvName.Credits, defaults.credits, 1, 100_000),
    },
  };
}

/** Environment of a child process: ours, with changes on top. */
export function childEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...changes };
}
