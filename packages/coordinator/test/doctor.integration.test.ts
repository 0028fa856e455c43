/** `cluster.doctor` on real servers: each fault is made, found, and named with how to mend it. */
import type { Finding } from '@troupe/shared';
import { connectNats, readNatsServer } from '@troupe/shared/nats';
import { connectRedis, type RedisConnection } from '@troupe/shared/redis';
import { expect } from 'chai';
import { startNats } from '../../../test/harness/nats-server.js';
import { waitUntil } from '../../../test/harness/wait-until.js';
import { judgeNatsServer } from '../src/doors/doctor/judge-nats.js';
import { TestCluster } from './simulated/test-cluster.js';

describe('the doctor of a cluster', () => {
  let cluster: TestCluster;
  let redis: RedisConnection;
  before(async () => {
    cluster = await TestCluster.start();
    redis = await connectRedis({ url: cluster.redis.url, namespace: cluster.settings.namespace });
    await cluster.startCoordinator('c1');
    await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris answers', async () => (await cluster.infer('iris')).body.model_version === '1');
  });
  after(async () => {
    await redis?.close();
    await cluster?.stop();
  });

  async function examine(): Promise<Finding[]> {
    return ((await cluster.admin('cluster', 'doctor')) as { findings: Finding[] }).findings;
  }
  const of = (findings: readonly Finding[], check: string) => findings.filter((one) => one.check === check);
  async function findingOf(check: string): Promise<Finding | undefined> {
    return of(await examine(), check)[0];
  }
  const manage = (path: string, body: object): Promise<unknown> =>
    cluster.link.connection
      .request(`$JS.API.${path}`, JSON.stringify(body), { timeout: 5_000 })
      .then((msg) => msg.json<{ config?: object; error?: object }>());

  it('finds no fault in a cluster that is well, and looks at everything', async () => {
    let findings: Finding[] = [];
    await waitUntil('all is well', async () => {
      findings = await examine();
      return findings.every(({ state }) => state === 'ok');
    });
    expect([...new Set(findings.map(({ check }) => check))]).to.have.members([
      'nats.version',
      'nats.payload',
      'nats.jetstream',
      'nats.permissions',
      'nats.records',
      'nats.replicas',
      'work.streams',
      'work.consumers',
      'work.stranded',
      'redis.version',
      'redis.persistence',
      'redis.eviction',
      'redis.memory',
      'redis.replication',
      'redis.connections',
      'redis.permissions',
      'clock.redis',
      'clock.hosts',
      'cluster.leader',
      'hosts.leases',
      'hosts.versions',
      'workers',
      'models',
      'process.files',
    ]);
  });

  it('refuses arguments', async () => {
    const failure = await cluster.admin('cluster', 'doctor', { deep: true }).catch((error: unknown) => error);
    expect(failure).to.include({ reason: 'request.arguments' });
  });

  it('finds a Redis that would evict leases and never syncs, and tells its memory beside its limit', async () => {
    const before = String((await findingOf('redis.memory'))?.found);
    expect(before).to.contain('no limit');
    await redis.read('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    await redis.read('CONFIG', 'SET', 'appendfsync', 'no');
    await redis.read('CONFIG', 'SET', 'maxmemory', String(1024 * 1024 * 1024));
    try {
      const findings = await examine();
      const [eviction] = of(findings, 'redis.eviction');
      expect(eviction).to.include({ state: 'fault' });
      expect(eviction?.found).to.contain('allkeys-lru');
      expect(eviction?.advice).to.contain('noeviction');
      const [persistence] = of(findings, 'redis.persistence');
      expect(persistence).to.include({ state: 'warning' });
      expect(persistence?.advice).to.contain('appendfsync everysec');
      expect(of(findings, 'redis.memory')[0]?.found).to.contain('of 1024 MiB');
    } finally {
      await redis.read('CONFIG', 'SET', 'maxmemory', '0');
      await redis.read('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
      await redis.read('CONFIG', 'SET', 'appendfsync', 'everysec');
    }
  });

  it('finds a Redis whose append-only file was turned off while it ran', async () => {
    await redis.read('CONFIG', 'SET', 'appendonly', 'no');
    try {
      const finding = await findingOf('redis.persistence');
      expect(finding).to.include({ state: 'fault' });
      expect(finding?.advice).to.contain('appendonly yes');
    } finally {
      await redis.read('CONFIG', 'SET', 'appendonly', 'yes');
    }
  });

  it('finds a consumer whose redelivery bound was changed', async () => {
    const stream = cluster.link.subjects.workStream('iris');
    const consumer = cluster.link.subjects.workConsumer(1);
    const { config } = (await manage(`CONSUMER.INFO.${stream}.${consumer}`, {})) as { config: object };
    const set = (ackWaitNs: number) =>
      manage(`CONSUMER.DURABLE.CREATE.${stream}.${consumer}`, {
        stream_name: stream,
        config: { ...config, ack_wait: ackWaitNs },
      });
    await set(60e9);
    try {
      const finding = await findingOf('work.consumers');
      expect(finding).to.include({ state: 'fault' });
      expect(finding?.found).to.contain('ack_wait is 60000 ms, not 2000 ms');
      expect(finding?.advice).to.contain(`nats consumer rm ${stream} ${consumer}`);
    } finally {
      await set(2e9);
    }
    expect(await findingOf('work.consumers')).to.include({ state: 'ok' });
  });

  it('finds messages that nobody reads, and a stream whose limits are others', async () => {
    const { subjects, connection } = cluster.link;
    const stream = subjects.workStream('iris');
    await connection.jetstream().publish(subjects.work('iris', 7, 1), 'lost');
    const { config } = (await manage(`STREAM.INFO.${stream}`, {})) as { config: object };
    await manage(`STREAM.UPDATE.${stream}`, { ...config, max_msgs_per_subject: 5, max_bytes: 1024 * 1024 });
    try {
      const findings = await examine();
      const [stranded] = of(findings, 'work.stranded');
      expect(stranded).to.include({ state: 'fault' });
      expect(stranded?.found).to.contain('1 message for iris v7');
      const [changed, short] = of(findings, 'work.streams');
      expect(changed).to.include({ state: 'warning' });
      expect(changed?.found).to.contain('max_msgs_per_subject is 5, not 10000');
      expect(short).to.include({ state: 'warning' });
      expect(short?.found).to.contain('256 MiB');
    } finally {
      await manage(`STREAM.UPDATE.${stream}`, config);
      await manage(`STREAM.PURGE.${stream}`, { filter: subjects.workOfVersion('iris', 7) });
    }
    expect(await findingOf('work.stranded')).to.include({ state: 'ok' });
  });

  it('finds a stream of records that is gone', async () => {
    await manage(`STREAM.DELETE.${cluster.link.subjects.deadStream}`, {});
    const finding = await findingOf('nats.records');
    expect(finding).to.include({ state: 'fault' });
    expect(finding?.found).to.contain(cluster.link.subjects.deadStream);
  });

  it('finds a model without room, and goes on where one check fails', async () => {
    await cluster.register('second', 'two', { replicas: 1 });
    await cluster.admin('hosts', 'scale', { host: 'h1', slots: 0 });
    await waitUntil('a model is unplaced', async () => (await findingOf('models'))?.state === 'fault');
    expect((await findingOf('models'))?.advice).to.contain('troupe scale');

    cluster.redis.freeze();
    try {
      const findings = await examine();
      expect(of(findings, 'redis')[0]).to.include({ state: 'fault' });
      expect(of(findings, 'redis')[0]?.found).to.contain('could not be checked');
      expect(of(findings, 'nats.version')[0]).to.include({ state: 'ok' });
      expect(of(findings, 'work.consumers')).to.have.length(1);
    } finally {
      cluster.redis.thaw();
    }
  });
});

describe('the doctor of a server with small payloads', () => {
  it('finds a payload limit of 1 MB', async () => {
    const nats = await startNats({ maxPayload: 1024 * 1024 });
    try {
      const link = await connectNats({ servers: nats.url, name: 'test', namespace: 'troupe' });
      const [, payload] = judgeNatsServer(readNatsServer(link));
      await link.close();
      expect(payload).to.include({ check: 'nats.payload', state: 'warning' });
      expect(payload?.advice).to.contain('max_payload: 8MB');
    } finally {
      await nats.stop();
    }
  });
});
