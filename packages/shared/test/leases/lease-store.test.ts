/** The lease contract on both stores. */
import { createMemoryLeaseStore } from '@troupe/shared';
import { connectRedis, createRedisLeaseStore } from '@troupe/shared/redis';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { leaseStoreContract } from './lease-store-contract.js';

describe('lease store in memory', () => {
  leaseStoreContract(async () => {
    let nowMs = 1_000_000;
    const store = createMemoryLeaseStore({ now: () => nowMs });
    return {
      store,
      pass: async (ms) => {
        nowMs += ms;
      },
      close: () => store.close(),
    };
  });
});

describe('lease store in Redis', () => {
  let server: RedisServer;
  let test = 0;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  leaseStoreContract(async () => {
    test += 1;
    const connection = await connectRedis({
      url: server.url,
      namespace: `t${test}`,
      commandTimeoutMs: 5_000,
    });
    const store = createRedisLeaseStore(connection);
    const redisMs = async () => {
      const [seconds, micros] = (await connection.read('TIME')) as [string, string];
      return Number(seconds) * 1000 + Number(micros) / 1000;
    };
    return {
      store,
      pass: async (ms) => {
        const start = await redisMs();
        await waitUntil(`${ms} ms have passed in Redis`, async () => (await redisMs()) - start >= ms, {
          everyMs: 5,
        });
      },
      close: () => store.close(),
    };
  });
});
