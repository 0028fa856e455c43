/**
 * What a Redis server tells about itself that leases and the registry depend on: facts for the doctor, read and never
 * changed. Whether a fact is good or bad is not decided here; what must hold at start is in `redis-fitness.ts`.
 */
import { parseRedisTime } from './redis-clock.js';
import type { RedisConnection } from './redis-connection.js';
import { isCommandDenied } from './redis-error.js';
import { readRedisInfo } from './redis-fitness.js';

/** Facts of one server. Absent is what it does not tell. */
export interface RedisFacts {
  readonly version: string;
  readonly role: string;
  /** Of a replica: whether it hears its primary. */
  readonly primaryLinkUp: boolean;
  readonly replicaCount: number;
  readonly appendOnly: boolean;
  /** `always`, `everysec` or `no`; managed servers hide it. */
  readonly appendFsync?: string;
  /** Whether the last write to the append-only file worked. */
  readonly lastAppendOk: boolean;
  readonly evictionPolicy?: string;
  readonly evictedKeys: number;
  readonly usedMemoryBytes: number;
  /** Absent where it has no limit. */
  readonly maxMemoryBytes?: number;
  readonly rejectedConnections: number;
}

async function readSetting(connection: RedisConnection, name: string): Promise<string | undefined> {
  try {
    const reply = await connection.read('CONFIG', 'GET', name);
    return Array.isArray(reply) && reply.length >= 2 ? String(reply[1]) : undefined;
  } catch (thrown) {
    if (isCommandDenied(thrown)) return undefined; // managed servers hide CONFIG
    throw thrown;
  }
}

/** Reads all of it. Throws `redis.unreachable`, `redis.unauthorized`. */
export async function readRedisFacts(connection: RedisConnection): Promise<RedisFacts> {
  const [info, appendFsync, policy] = await Promise.all([
    readRedisInfo(connection, 'default'),
    readSetting(connection, 'appendfsync'),
    readSetting(connection, 'maxmemory-policy'),
  ]);
  const number = (name: string) => Number(info.get(name) ?? 0);
  const evictionPolicy = policy ?? info.get('maxmemory_policy');
  return {
    version: info.get('redis_version') ?? 'unknown',
    role: info.get('role') ?? 'unknown',
    primaryLinkUp: info.get('master_link_status') === 'up',
    replicaCount: number('connected_slaves'),
    appendOnly: info.get('aof_enabled') === '1',
    ...(appendFsync === undefined ? {} : { appendFsync }),
    lastAppendOk: info.get('aof_last_write_status') !== 'err',
    ...(evictionPolicy === undefined ? {} : { evictionPolicy }),
    evictedKeys: number('evicted_keys'),
    usedMemoryBytes: number('used_memory'),
    ...(number('maxmemory') > 0 ? { maxMemoryBytes: number('maxmemory') } : {}),
    rejectedConnections: number('rejected_connections'),
  };
}

/** The server's clock beside ours. */
export interface RedisClockOffset {
  /** Redis − this process, in milliseconds. */
  readonly offsetMs: number;
  /** How far the offset may be wrong: half of the round trip. */
  readonly errorMs: number;
}

/** Reads the server's clock, taking it to have told the time in the middle of the call. */
export async function readRedisClockOffset(connection: RedisConnection): Promise<RedisClockOffset> {
  const from = performance.now();
  const told = parseRedisTime(await connection.read('TIME'));
  const roundTripMs = performance.now() - from;
  return { offsetMs: told - (Date.now() - roundTripMs / 2), errorMs: roundTripMs / 2 };
}
