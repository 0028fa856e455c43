/** Redis under Troupe: the connection and the two stores on it. The only folder that knows ioredis. */
export { type ConnectRedisOptions, connectRedis } from './connect-redis.js';
export type { RedisConnection } from './redis-connection.js';
export { createRedisLeaseStore } from './redis-lease-store.js';
export { createRedisRegistryStore } from './redis-registry-store.js';
