/** Connects to Redis and checks that it is fit to hold leases and the registry. Called once at the start of a process. */
import { defaults } from '../config/defaults.js';
import { certificateMark, readAccessFile } from '../config/server-access.js';
import { TroupeError } from '../errors/troupe-error.js';
import { parseNamespace } from '../names/namespace.js';
import { createRedisKeys } from '../names/redis-keys.js';
import type { Log } from '../observability/log.js';
import { parseRedisUrl, type RedisAddress } from './redis-address.js';
import { IoredisConnection, type RedisConnection } from './redis-connection.js';
import { checkRedisFitness } from './redis-fitness.js';

export interface ConnectRedisOptions {
  /** `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS. */
  readonly url: string;
  /** Path of the PEM file with the authority that signed the server's certificate; for `rediss://`. */
  readonly caFile?: string;
  /** First part of every key. */
  readonly namespace: string;
  /**
   * How long one call may take, in milliseconds; default 900. Below a third of the lease TTL, so that a renewal is
   * over before the next one is due.
   */
  readonly commandTimeoutMs?: number;
  /** How long to wait for a server that is not there yet, in milliseconds; default `defaults.connectTimeoutMs`. */
  readonly connectTimeoutMs?: number;
  /** Ends an attempt to connect before its time; the connection itself does not hear it. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
}

/** Just under a third of the default lease TTL. */
const defaultCommandTimeoutMs = Math.floor((defaults.leaseTtlMs / 3) * 0.9);

/** The authority's certificate, where one is named. A name that nothing would look at is refused. */
function readAuthority(caFile: string | undefined, address: RedisAddress): string | undefined {
  if (caFile === undefined) return undefined;
  if (!address.tls) {
    throw new TroupeError(
      'config.invalid',
      `the Redis URL (REDIS_URL) ${address.text} uses no TLS, so REDIS_CA would count for nothing: write rediss://`,
    );
  }
  return readAccessFile(caFile, 'the CA file of Redis (REDIS_CA)', certificateMark);
}

/**
 * Connects, waits until Redis takes commands, and checks it. Afterwards the connection heals by itself, for ever.
 * Throws `redis.unreachable`, `redis.unauthorized`, `redis.not_durable`, and `config.invalid` for a URL that is none
 * or a server older than 7.0. No message holds the password.
 */
export async function connectRedis(options: ConnectRedisOptions): Promise<RedisConnection> {
  const namespace = parseNamespace(options.namespace);
  const commandTimeoutMs = options.commandTimeoutMs ?? defaultCommandTimeoutMs;
  if (!Number.isSafeInteger(commandTimeoutMs) || commandTimeoutMs < 1) {
    throw new TroupeError('config.invalid', `commandTimeoutMs is ${commandTimeoutMs}: a whole number from 1`);
  }
  const address = parseRedisUrl(options.url);
  const ca = readAuthority(options.caFile, address);
  const connection = new IoredisConnection({
    address,
    ...(ca === undefined ? {} : { ca }),
    keys: createRedisKeys(namespace),
    name: `troupe-${namespace}`,
    commandTimeoutMs,
    log: options.log,
    onReturn: checkRedisFitness,
  });
  try {
    await connection.open(options.connectTimeoutMs ?? defaults.connectTimeoutMs, options.signal);
    await checkRedisFitness(connection);
    return connection;
  } catch (thrown) {
    await connection.close();
    throw thrown;
  }
}
