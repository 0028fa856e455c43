/**
 * Whether a Redis server may hold leases and the registry: recent enough, and it remembers after a crash.
 * Without an append-only file a killed Redis forgets its counters, and fencing tokens and epochs would be given out
 * a second time. Asked by `connectRedis` and after every reconnect.
 */
import { TroupeError } from '../errors/troupe-error.js';
import type { RedisConnection } from './redis-connection.js';
import { isCommandDenied } from './redis-error.js';
import { grantRights, readRedisRights } from './redis-rights.js';

/** Oldest major version: ZADD GT, Lua scripts that ask the time before they write, PEXPIRE as we use it. */
const oldestMajor = 7;

/** A section of INFO as names and values. */
export async function readRedisInfo(
  connection: RedisConnection,
  section: string,
): Promise<ReadonlyMap<string, string>> {
  const text = String(await connection.read('INFO', section));
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

async function appendsToFile(connection: RedisConnection): Promise<boolean> {
  try {
    const reply = await connection.read('CONFIG', 'GET', 'appendonly');
    if (Array.isArray(reply) && reply.length >= 2) return reply[1] === 'yes';
  } catch (thrown) {
    if (!isCommandDenied(thrown)) throw thrown; // managed servers hide CONFIG; INFO tells the same
  }
  return (await readRedisInfo(connection, 'persistence')).get('aof_enabled') === '1';
}

/**
 * Throws `config.invalid` where the server is too old, `redis.not_durable` where it would forget, `redis.unauthorized`
 * where the user may not do what the stores do.
 */
export async function checkRedisFitness(connection: RedisConnection): Promise<void> {
  const version = (await readRedisInfo(connection, 'server')).get('redis_version') ?? 'unknown';
  if (!(Number.parseInt(version, 10) >= oldestMajor)) {
    throw new TroupeError(
      'config.invalid',
      `Redis at ${connection.address} is version ${version} (REDIS_URL); Troupe needs ${oldestMajor}.0 or newer`,
    );
  }
  if (!(await appendsToFile(connection))) {
    throw new TroupeError(
      'redis.not_durable',
      `Redis at ${connection.address} keeps no append-only file, so a crash would rewind fencing tokens: ` +
        "put 'appendonly yes' into redis.conf, or run 'redis-cli config set appendonly yes'",
    );
  }
  const rights = await readRedisRights(connection);
  if (rights.refused.length === 0) return;
  throw new TroupeError(
    'redis.unauthorized',
    `Redis at ${connection.address} lets ${rights.user ?? 'the user'} not run ${rights.refused.join(', ')} ` +
      `on the keys ${rights.keyPattern}: run '${grantRights(rights)}'`,
  );
}
