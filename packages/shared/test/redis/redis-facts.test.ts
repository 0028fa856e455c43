/** Facts read from real servers: a primary, a replica, and one that hides CONFIG as managed ones do. */
import { expect } from 'chai';
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from '../../../../test/harness/redis-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import {
  connectRedis,
  type RedisConnection,
  readRedisClockOffset,
  readRedisFacts,
} from '../../src/redis/index.js';

describe('the facts of a Redis server', () => {
  const servers: RedisServer[] = [];
  const connections: RedisConnection[] = [];
  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  async function open(options: RedisServerOptions = {}, login = ''): Promise<RedisConnection> {
    const server = await startRedis(options);
    servers.push(server);
    const url = server.url.replace('://', `://${login}`);
    const connection = await connectRedis({ url, namespace: 'facts' });
    connections.push(connection);
    return connection;
  }

  it('tell version, role, persistence, eviction and memory', async () => {
    const connection = await open({ args: ['--maxmemory', '100mb', '--appendfsync', 'always'] });
    const facts = await readRedisFacts(connection);
    expect(facts).to.include({
      role: 'master',
      replicaCount: 0,
      appendOnly: true,
      appendFsync: 'always',
      lastAppendOk: true,
      evictionPolicy: 'noeviction',
      evictedKeys: 0,
      maxMemoryBytes: 100 * 1024 * 1024,
      rejectedConnections: 0,
    });
    expect(facts.version).to.match(/^\d+\.\d+\.\d+/);
    expect(facts.usedMemoryBytes).to.be.above(0);
  });

  it('leave out what a server without CONFIG does not tell', async () => {
    const args = ['--user', 'app', 'on', '>secret', '~*', '&*', '+@all', '-config'];
    const facts = await readRedisFacts(await open({ args }, 'app:secret@'));
    expect(facts).not.to.have.property('appendFsync');
    expect(facts).not.to.have.property('maxMemoryBytes');
    expect(facts).to.include({ appendOnly: true, evictionPolicy: 'noeviction' });
  });

  it('tell a replica, and whether it hears its primary', async () => {
    const primary = await open();
    const port = String(servers[0]?.port);
    const replica = await open({ args: ['--replicaof', '127.0.0.1', port] });
    expect((await readRedisFacts(replica)).role).to.equal('slave');
    await waitUntil(
      'the replica hears its primary',
      async () => (await readRedisFacts(replica)).primaryLinkUp,
    );
    expect((await readRedisFacts(primary)).replicaCount).to.equal(1);
    await servers[0]?.kill();
    await waitUntil(
      'the replica misses its primary',
      async () => !(await readRedisFacts(replica)).primaryLinkUp,
    );
  });

  it('tell the clock beside ours, and how far that may be wrong', async () => {
    const { offsetMs, errorMs } = await readRedisClockOffset(await open());
    // Both read the clock of one machine; the rest is room for a machine that is busy.
    expect(Math.abs(offsetMs)).to.be.at.most(errorMs + 500);
  });
});
