/**
 * What the user of a connection may do on Redis, tried out: facts for the doctor. Users of Redis may be held to
 * commands and to keys, and Redis says so only when they try. Whether a fact is bad is not decided here.
 */
import type { RedisConnection } from './redis-connection.js';
import { isCommandDenied } from './redis-error.js';
import { asList } from './redis-reply.js';
import { tryRights } from './scripts/try-rights.js';

export interface RedisRights {
  /** Absent where the user may not ask for it. */
  readonly user?: string;
  /** The keys that it needs, as Redis writes them. */
  readonly keyPattern: string;
  /** Commands that it needs and may not run, or not on these keys; `EVAL`: not even the trial could be run. */
  readonly refused: readonly string[];
}

/** The command of Redis that gives what is missing. */
export function grantRights({ user = '<user>', keyPattern, refused }: RedisRights): string {
  return `ACL SETUSER ${user} ~${keyPattern} ${refused.map((command) => `+${command.toLowerCase()}`).join(' ')}`;
}

/** Tries everything that the stores do. Throws `redis.unreachable`. */
export async function readRedisRights(connection: RedisConnection): Promise<RedisRights> {
  const { audit, trial } = connection.keys;
  const refusedOr = async <T>(command: string, ask: () => Promise<T>): Promise<T | string[]> => {
    try {
      return await ask();
    } catch (thrown) {
      if (isCommandDenied(thrown)) return [command];
      throw thrown;
    }
  };
  const [scripted, range, info, user] = await Promise.all([
    refusedOr('EVAL', async () =>
      asList(await connection.run(tryRights, [trial], []))
        .slice(1)
        .map(String),
    ),
    refusedOr('XREVRANGE', async () => {
      await connection.read('XREVRANGE', audit, '+', '-', 'COUNT', 1);
      return [];
    }),
    refusedOr('INFO', async () => {
      await connection.read('INFO', 'server');
      return [];
    }),
    refusedOr('', async () => String(await connection.read('ACL', 'WHOAMI'))),
  ]);
  return {
    ...(typeof user === 'string' ? { user } : {}),
    keyPattern: `${audit.slice(0, audit.indexOf(':'))}:*`,
    refused: [...scripted, ...range, ...info].sort(),
  };
}
