/** Redis under Troupe: the connection and the two stores on it. The only folder that knows ioredis. */
export { type ConnectRedisOptions, connectRedis } from './connect-redis.js';
export type { RedisConnection } from './redis-connection.js';
export {
  type RedisClockOffset,
  type RedisFacts,
  readRedisClockOffset,
  readRedisFacts,
} from './redis-facts.js';
export { createRedisLeaseStore } from './redis-lease-store.js';
export { createRedisRegistryStore } from './redis-registry-store.js';
export { grantRights, type RedisRights, readRedisRights } from './redis-rights.js';
