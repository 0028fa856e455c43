/** What the Redis stores hold on to when Redis crashes, freezes, forgets its scripts or is cut off (S1 to S5). */
import { createLog, type LeaseStore } from '@troupe/shared';
import {
  connectRedis,
  createRedisLeaseStore,
  createRedisRegistryStore,
  type RedisConnection,
} from '@troupe/shared/redis';
import { expect } from 'chai';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { reasonOf, report } from '../leases/lease-store-contract.js';
import { newVersion } from '../registry/registry-store-contract.js';
import { startProxy, type TcpProxy } from './tcp-proxy.js';

const longMs = 60_000;
const commandTimeoutMs = 300;
const guard = { actor: 'admin' };

describe('Redis in trouble', () => {
  let server: RedisServer;
  let proxy: TcpProxy | undefined;
  const connections: RedisConnection[] = [];
  const unhandled: unknown[] = [];
  const collect = (reason: unknown) => void unhandled.push(reason);

  async function connect(
    changes: Partial<Parameters<typeof connectRedis>[0]> = {},
  ): Promise<RedisConnection> {
    const connection = await connectRedis({
      url: server.url,
      namespace: 'troupe',
      commandTimeoutMs,
      ...changes,
    });
    connections.push(connection);
    return connection;
  }

  async function throughProxy(): Promise<{ proxy: TcpProxy; connection: RedisConnection }> {
    proxy = await startProxy(server.port);
    return { proxy, connection: await connect({ url: `redis://127.0.0.1:${proxy.port}` }) };
  }

  beforeEach(async () => {
    process.on('unhandledRejection', collect);
    server = await startRedis();
  });
  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
    await proxy?.close();
    proxy = undefined;
    await server.stop();
    process.off('unhandledRejection', collect);
    expect(unhandled.splice(0)).to.deep.equal([]);
  });

  const back = (store: LeaseStore) =>
    waitUntil('Redis answers again', async () => (await store.incarnation()).length > 0);

  it('gives out no token, epoch, version or revision twice after kill -9 and a restart', async () => {
    const connection = await connect();
    const leases = createRedisLeaseStore(connection);
    const registry = createRedisRegistryStore(connection);
    const mark = await leases.incarnation();
    let last = { token: 0, epoch: 0 };
    for (let index = 0; index < 100; index += 1) {
      last = await leases.registerHost('a', longMs, report('a'));
    }
    const elected = await leases.campaign('c', longMs, 7);
    const before = await registry.registerVersion('iris', newVersion('a'), {}, guard);
    await server.kill('SIGKILL');
    expect(await reasonOf(leases.listHosts())).to.equal('redis.unreachable');
    await server.restart();
    await back(leases);
    expect(await leases.incarnation()).not.to.equal(mark);
    expect((await leases.listHosts()).map(({ token }) => token)).to.deep.equal([last.token]);
    expect((await leases.renewHost('a', last.token, longMs, report('a'))).kind).to.equal('renewed');
    expect((await leases.registerHost('a', longMs, report('a'))).token).to.equal(last.token + 1);
    expect(elected).to.deep.equal({ kind: 'elected', epoch: 8 });
    expect((await leases.leader())?.epoch).to.equal(8);
    await leases.resign('c', 8);
    expect(await leases.campaign('c', longMs, 0)).to.deep.equal({ kind: 'elected', epoch: 9 });
    expect(await registry.model('iris')).to.deep.equal(before.record);
    const after = await registry.registerVersion('iris', newVersion('b'), {}, guard);
    expect([after.version.version, await registry.revision()]).to.deep.equal([2, 2]);
  });

  it('rejects every call while Redis is frozen, within the command timeout, and heals when it thaws', async () => {
    const connection = await connect();
    const leases = createRedisLeaseStore(connection);
    const registry = createRedisRegistryStore(connection);
    const { token } = await leases.registerHost('a', longMs, report('a'));
    server.freeze();
    // Long enough for calls before, during and after the connection is given up.
    for (let round = 0; round < 4; round += 1) {
      const calls: Promise<unknown>[] = [
        leases.renewHost('a', token, longMs, report('a')),
        leases.listHosts(),
        leases.campaign('c', longMs, 0),
        leases.incarnation(),
        registry.read(),
        registry.revision(),
        registry.setReplicas('iris', 1, guard),
        registry.addStrike('S', 1),
      ];
      const deadline = new Promise<string[]>((resolve) => {
        setTimeout(() => resolve(['hangs']), 10 * commandTimeoutMs).unref();
      });
      const reasons = await Promise.race([Promise.all(calls.map(reasonOf)), deadline]);
      expect(new Set(reasons)).to.deep.equal(new Set(['redis.unreachable']));
    }
    // Else the commands that nobody waits for would pile up on it.
    await waitUntil('the connection is given up', () => !connection.connected);
    server.thaw();
    await back(leases);
    expect((await leases.renewHost('a', token, longMs, report('a'))).kind).to.equal('renewed');
  });

  it('never carries out a write whose time was over when Redis came to it (S2)', async () => {
    const connection = await connect();
    const leases = createRedisLeaseStore(connection);
    const registry = createRedisRegistryStore(connection);
    const kept = await leases.registerHost('kept', longMs, report('kept', { pid: 1 }));
    await registry.registerVersion('iris', newVersion('a'), {}, guard);
    server.freeze();
    const writes: Promise<unknown>[] = [
      leases.registerHost('ghost', longMs, report('ghost')),
      leases.registerHost('kept', longMs, report('kept')),
      leases.renewHost('kept', kept.token, longMs, report('kept', { pid: 2 })),
      leases.releaseHost('kept', kept.token),
      leases.campaign('ghost', longMs, 0),
      registry.addStrike('S', 1),
    ];
    for (const reason of await Promise.all(writes.map(reasonOf)))
      expect(reason).to.equal('redis.unreachable');
    server.thaw();
    await back(leases);
    // The commands lay in the socket of the frozen server: what it had to say to them is in its statistics.
    const other = await connect({ namespace: 'other' });
    await waitUntil('Redis has seen the late commands', async () =>
      /cmdstat_eval(sha)?:calls=\d+/.test(String(await other.read('INFO', 'commandstats'))),
    );
    const [lease, ...others] = await leases.listHosts();
    expect(others).to.deep.equal([]);
    expect([lease?.host, lease?.token, lease?.report.pid]).to.deep.equal(['kept', kept.token, 1]);
    expect(await leases.leader()).to.equal(undefined);
    expect(await registry.addStrike('S', 1)).to.equal(1);
  });

  it('heals after SCRIPT FLUSH', async () => {
    const connection = await connect();
    const leases = createRedisLeaseStore(connection);
    const { token } = await leases.registerHost('a', longMs, report('a'));
    for (let round = 0; round < 3; round += 1) {
      await connection.read('SCRIPT', 'FLUSH');
      const calls = Array.from({ length: 5 }, () => leases.renewHost('a', token, longMs, report('a')));
      for (const { kind } of await Promise.all(calls)) expect(kind).to.equal('renewed');
      expect((await leases.registerHost('b', longMs, report('b'))).token).to.equal(token + round + 1);
    }
  });

  it('rejects at once what was under way when the connection was cut, and runs it only once (S1)', async () => {
    const { proxy: between, connection } = await throughProxy();
    const leases = createRedisLeaseStore(connection);
    const { token } = await leases.registerHost('a', longMs, report('a'));
    between.onAnswer = () => {
      between.onAnswer = (chunk) => chunk;
      between.cut(); // Redis has run it, and its answer gets lost
      return undefined;
    };
    expect(await reasonOf(leases.registerHost('a', longMs, report('a')))).to.equal('redis.unreachable');
    await back(leases);
    expect((await leases.registerHost('a', longMs, report('a'))).token).to.equal(token + 2);
  });

  it('goes on after any number of cuts, under load, without a call that never ends', async () => {
    const { proxy: between, connection } = await throughProxy();
    const registry = createRedisRegistryStore(connection);
    let counted = 0;
    for (let round = 0; round < 10; round += 1) {
      await waitUntil('Redis is back', () => connection.connected);
      const strikes = Array.from({ length: 50 }, () => registry.addStrike('S', 1));
      if (round % 2 === 0) between.cut();
      else setImmediate(() => between.cut());
      for (const outcome of await Promise.allSettled(strikes))
        if (outcome.status === 'fulfilled') counted += 1;
    }
    await waitUntil('Redis is back', () => connection.connected);
    const total = await registry.addStrike('S', 1);
    expect(total).to.be.within(counted + 1, 501);
  });

  it('writes on when the clock of Redis jumps forward by an hour', async () => {
    const { proxy: between, connection } = await throughProxy();
    const leases = createRedisLeaseStore(connection);
    // Seen from here, a clock that told an hour less before is one that has jumped.
    between.onAnswer = (chunk) => {
      const text = chunk.toString('latin1');
      const changed = text.replace(
        /^\*2\r\n\$10\r\n(\d{10})\r\n/,
        (_, seconds) => `*2\r\n$10\r\n${Number(seconds) - 3600}\r\n`,
      );
      return Buffer.from(changed, 'latin1');
    };
    between.cut();
    await back(leases);
    expect((await leases.registerHost('a', longMs, report('a'))).token).to.equal(1);
    expect((await leases.renewHost('a', 1, longMs, report('a'))).kind).to.equal('renewed');
  });

  it('keeps two namespaces on one server apart', async () => {
    const [one, two] = [await connect({ namespace: 'staging' }), await connect({ namespace: 'production' })];
    const [leases, otherLeases] = [createRedisLeaseStore(one), createRedisLeaseStore(two)];
    const [registry, other] = [createRedisRegistryStore(one), createRedisRegistryStore(two)];
    await leases.registerHost('a', longMs, report('a'));
    await leases.campaign('c', longMs, 50);
    await registry.registerVersion('iris', newVersion('a'), {}, guard);
    await registry.addStrike('S', 1);
    expect(await otherLeases.listHosts()).to.deep.equal([]);
    expect(await otherLeases.leader()).to.equal(undefined);
    expect(await otherLeases.campaign('c', longMs, 0)).to.deep.equal({ kind: 'elected', epoch: 1 });
    expect(await other.read()).to.deep.equal({ revision: 0, models: {}, hostSettings: {} });
    expect(await other.audit(10)).to.deep.equal([]);
    expect(await other.addStrike('S', 1)).to.equal(1);
    const keys = (await one.read('KEYS', '*')) as string[];
    for (const key of keys) expect(key).to.match(/^\{(staging|production)\}:/);
  });

  it('says so in the log when a Redis comes back that keeps no append-only file', async () => {
    const lines: string[] = [];
    const log = createLog('test', 'info', { write: (line) => void lines.push(line) });
    const connection = await connect({ log });
    await server.kill('SIGKILL');
    const forgetful = await startRedis({ port: server.port, appendonly: false });
    try {
      await waitUntil('the log has it', () => lines.some((line) => line.includes('appendonly yes')));
      await connection.close();
    } finally {
      await forgetful.stop();
    }
    expect(lines.join('')).to.contain('redis connection lost').and.to.contain('redis connection is back');
  });

  it('closes a connection when the last store on it has closed, and not before', async () => {
    const connection = await connect();
    const leases = createRedisLeaseStore(connection);
    const registry = createRedisRegistryStore(connection);
    await leases.close();
    await leases.close();
    expect(await registry.revision()).to.equal(0);
    await registry.close();
    expect(await reasonOf(registry.revision())).to.equal('redis.unreachable');
    expect(connection.connected).to.equal(false);
  });

  it('closes while Redis is frozen or gone, and leaves no socket and no timer behind', async () => {
    const resources = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'Timeout')
        .length;
    // Counted as below: inside a wait, which has a timer of its own, and after mocha has set the timer of this test.
    await new Promise((resolve) => setImmediate(resolve));
    const before = await waitUntil('counted', () => resources());
    for (const trouble of ['none', 'frozen', 'gone'] as const) {
      const connection = await connect();
      const leases = createRedisLeaseStore(connection);
      await leases.registerHost('a', longMs, report('a'));
      if (trouble === 'frozen') server.freeze();
      if (trouble === 'gone') await server.kill('SIGKILL');
      const pending = reasonOf(leases.listHosts());
      await connection.close();
      expect(await pending, trouble).to.equal(trouble === 'none' ? 'not refused' : 'redis.unreachable');
      await waitUntil(`nothing is left (${trouble})`, () => resources() <= before);
      if (trouble === 'frozen') server.thaw();
    }
  });
});
