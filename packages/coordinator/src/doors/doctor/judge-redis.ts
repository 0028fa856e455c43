/** Judges what was read of Redis. Pure: facts in, findings out; `examine.ts` reads the facts. */
import type { Finding } from '@troupe/shared';
import type { RedisFacts } from '@troupe/shared/redis';
import { atLeast, countOf, finding, mebibytes } from './finding-text.js';

const oldestRedis = '7.0.0';
const nearRatio = 0.8;

export function judgeRedis(facts: RedisFacts): Finding[] {
  return [
    judgeVersion(facts),
    judgePersistence(facts),
    judgeEviction(facts),
    judgeMemory(facts),
    judgeReplication(facts),
    judgeConnections(facts),
  ];
}

function judgeVersion({ version }: RedisFacts): Finding {
  return atLeast(version, oldestRedis)
    ? finding('redis.version', 'ok', `Redis ${version}`)
    : finding('redis.version', 'fault', `Redis ${version}`, 'Troupe needs 7.0 or newer: upgrade Redis');
}

function judgePersistence({ appendOnly, appendFsync, lastAppendOk }: RedisFacts): Finding {
  const check = 'redis.persistence';
  if (!appendOnly) {
    return finding(
      check,
      'fault',
      'appendonly is no: after a crash fencing tokens and epochs would be given out a second time',
      "run 'redis-cli config set appendonly yes', and put 'appendonly yes' into redis.conf",
    );
  }
  if (!lastAppendOk) {
    return finding(
      check,
      'fault',
      'the last write to the append-only file failed',
      "look at Redis' log and at the space on its disk; until then it refuses writes",
    );
  }
  if (appendFsync === 'no') {
    return finding(
      check,
      'warning',
      'appendonly is yes, appendfsync is no: a crash of the machine loses what the system had not written',
      "run 'redis-cli config set appendfsync everysec', and put it into redis.conf",
    );
  }
  return finding(
    check,
    'ok',
    `appendonly is yes, appendfsync is ${appendFsync ?? 'not told by this server'}`,
  );
}

function judgeEviction({ evictionPolicy, evictedKeys }: RedisFacts): Finding {
  const check = 'redis.eviction';
  const mend =
    "run 'redis-cli config set maxmemory-policy noeviction', and put it into redis.conf; share no Redis with a cache";
  if (evictionPolicy === undefined) {
    return finding(
      check,
      'warning',
      'the server does not tell its maxmemory-policy',
      'it must be noeviction',
    );
  }
  const evicted = evictedKeys > 0 ? `; ${countOf(evictedKeys, 'key')} evicted since its start` : '';
  if (evictionPolicy !== 'noeviction') {
    return finding(
      check,
      'fault',
      `maxmemory-policy is ${evictionPolicy}: under pressure Redis would drop leases and models${evicted}`,
      mend,
    );
  }
  if (evictedKeys > 0) {
    return finding(
      check,
      'warning',
      `maxmemory-policy is noeviction now${evicted}`,
      "compare 'troupe models list' with what you registered: keys may be gone",
    );
  }
  return finding(check, 'ok', 'maxmemory-policy is noeviction');
}

function judgeMemory({ usedMemoryBytes, maxMemoryBytes }: RedisFacts): Finding {
  const check = 'redis.memory';
  const used = mebibytes(usedMemoryBytes);
  if (maxMemoryBytes === undefined) return finding(check, 'ok', `${used} in use, no limit of its own`);
  const found = `${used} of ${mebibytes(maxMemoryBytes)} in use`;
  const mend = "raise maxmemory ('redis-cli config set maxmemory <bytes>', and redis.conf)";
  if (usedMemoryBytes >= maxMemoryBytes) {
    return finding(check, 'fault', `${found}: Redis refuses writes, leases lapse`, mend);
  }
  if (usedMemoryBytes >= maxMemoryBytes * nearRatio) return finding(check, 'warning', found, mend);
  return finding(check, 'ok', found);
}

function judgeReplication({ role, primaryLinkUp, replicaCount }: RedisFacts): Finding {
  const check = 'redis.replication';
  if (role === 'slave') {
    const link = primaryLinkUp ? '' : ', which has lost its primary';
    return finding(
      check,
      'fault',
      `REDIS_URL leads to a replica${link}: it takes no writes`,
      'let REDIS_URL name the primary, and restart the coordinators and hosts',
    );
  }
  return finding(
    check,
    'ok',
    replicaCount === 0 ? 'a primary without replicas' : `a primary with ${countOf(replicaCount, 'replica')}`,
  );
}

function judgeConnections({ rejectedConnections }: RedisFacts): Finding {
  return rejectedConnections === 0
    ? finding('redis.connections', 'ok', 'none was refused since its start')
    : finding(
        'redis.connections',
        'warning',
        `${countOf(rejectedConnections, 'connection')} refused since its start: maxclients was reached`,
        'raise maxclients, or look for who holds connections: redis-cli client list',
      );
}
