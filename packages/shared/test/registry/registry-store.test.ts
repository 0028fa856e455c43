/** The registry contract on both stores. */
import { createMemoryLeaseStore, createMemoryRegistryStore } from '@troupe/shared';
import { connectRedis, createRedisLeaseStore, createRedisRegistryStore } from '@troupe/shared/redis';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { registryStoreContract } from './registry-store-contract.js';

describe('registry store in memory', () => {
  registryStoreContract(async () => {
    const leases = createMemoryLeaseStore();
    const store = createMemoryRegistryStore({ highestEpoch: () => leases.highestEpoch() });
    return { store, leases, another: async () => store, close: () => store.close() };
  });
});

describe('registry store in Redis', () => {
  let server: RedisServer;
  let test = 0;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  registryStoreContract(async () => {
    test += 1;
    const connect = () => connectRedis({ url: server.url, namespace: `t${test}`, commandTimeoutMs: 5_000 });
    const connections = [await connect(), await connect()] as const;
    const others: (typeof connections)[number][] = [];
    return {
      store: createRedisRegistryStore(connections[0]),
      leases: createRedisLeaseStore(connections[1]),
      another: async () => {
        const connection = await connect();
        others.push(connection);
        return createRedisRegistryStore(connection);
      },
      close: async () => {
        await Promise.all([...connections, ...others].map((connection) => connection.close()));
      },
    };
  });
});
