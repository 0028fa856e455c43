/** What the doctor makes of facts: tables of facts and the finding that they give. */
import type { Finding, HostLease, HostReport, RoutingEntry, WorkerReport } from '@troupe/shared';
import { TroupeError } from '@troupe/shared';
import type { RedisFacts } from '@troupe/shared/redis';
import { expect } from 'chai';
import { atLeast, mebibytes } from '../src/doors/doctor/finding-text.js';
import { judgeEventClocks, judgeRedisClock } from '../src/doors/doctor/judge-clocks.js';
import {
  judgeFiles,
  judgeHosts,
  judgeLeader,
  judgeModels,
  judgeVersions,
  judgeWorkers,
} from '../src/doors/doctor/judge-cluster.js';
import { judgeJetStream, judgeNatsServer, judgeRecordStreams } from '../src/doors/doctor/judge-nats.js';
import { judgeRedis } from '../src/doors/doctor/judge-redis.js';
import { judgeReplicas } from '../src/doors/doctor/judge-replicas.js';
import { parseFileLimit } from '../src/doors/doctor/open-files.js';
import { runChecks } from '../src/doors/doctor/run-checks.js';

const copiesOf = (stream: string, replicas: number, missing: readonly string[] = []) => ({
  stream,
  replicas,
  missing,
});
const worker: WorkerReport = {
  model: 'iris',
  version: 2,
  device: 'cpu:0',
  state: 'serving',
  credits: 1,
  inFlight: 0,
  natsConnected: true,
  completed: 0,
  failed: 0,
  batches: 0,
  rows: 0,
  crashes: 0,
};
const lease = (report: Partial<HostReport> = {}, remainingMs = 3_000): HostLease => ({
  host: 'h1',
  token: 1,
  remainingMs,
  report: {
    host: 'h1',
    startedAt: '2026-01-01T00:00:00.000Z',
    pid: 1,
    devices: [],
    slots: 8,
    workers: [],
    epoch: 4,
    stopping: false,
    nodeVersion: 'v20',
    runtimeVersion: '1.30',
    troupeVersion: '0.1.0',
    ...report,
  },
});
const route = (epoch: number, version: Partial<RoutingEntry['versions'][string]> = {}): RoutingEntry => ({
  epoch,
  model: 'iris',
  labels: { stable: 1 },
  weights: [],
  versions: {
    1: { signature: { inputs: [], outputs: [] }, serving: 1, wanted: 1, state: 'ready', ...version },
  },
});
const redis: RedisFacts = {
  version: '7.0.15',
  role: 'master',
  primaryLinkUp: false,
  replicaCount: 0,
  appendOnly: true,
  appendFsync: 'everysec',
  lastAppendOk: true,
  evictionPolicy: 'noeviction',
  evictedKeys: 0,
  usedMemoryBytes: 50,
  rejectedConnections: 0,
};
const jetStream = { memoryBytes: 50, storageBytes: 50, streamCount: 1, consumerCount: 1 };
const leader = { owner: 'c1', epoch: 4 };
const natsOf = (version: string) => judgeNatsServer({ version, maxPayloadBytes: 8 * 1024 * 1024 });

interface Row {
  readonly what: string;
  readonly findings: readonly Finding[];
  readonly check: string;
  readonly state: Finding['state'];
  readonly says?: string;
}
const rows: Row[] = [
  { what: 'NATS 2.9.9', findings: natsOf('2.9.9'), check: 'nats.version', state: 'fault' },
  { what: 'NATS 2.9.10', findings: natsOf('2.9.10'), check: 'nats.version', state: 'ok' },
  { what: 'NATS 2.12.1', findings: natsOf('2.12.1'), check: 'nats.version', state: 'ok' },
  {
    what: 'an account whose storage is full',
    findings: judgeJetStream({ ...jetStream, storageLimitBytes: 50 }),
    check: 'nats.jetstream',
    state: 'fault',
    says: 'file storage',
  },
  {
    what: 'an account whose memory ends soon',
    findings: judgeJetStream({ ...jetStream, memoryLimitBytes: 60 }),
    check: 'nats.jetstream',
    state: 'warning',
    says: 'memory',
  },
  {
    what: 'events kept in memory',
    findings: judgeRecordStreams([
      {
        stream: 'E',
        present: true,
        messages: 0,
        differences: [{ setting: 'storage', expected: 'file', found: 'memory' }],
      },
    ]),
    check: 'nats.records',
    state: 'fault',
    says: 'storage is memory, not file',
  },
  {
    what: 'one server',
    findings: judgeReplicas({ wanted: 1, fixed: false, streams: [copiesOf('E', 1)] }),
    check: 'nats.replicas',
    state: 'ok',
    says: '1 copy',
  },
  {
    what: 'a cluster that keeps all copies',
    findings: judgeReplicas({ wanted: 3, fixed: false, cluster: 'trio', streams: [copiesOf('E', 3)] }),
    check: 'nats.replicas',
    state: 'ok',
    says: '3 copies each',
  },
  {
    what: 'a stream that was declared while servers were missing',
    findings: judgeReplicas({
      wanted: 3,
      fixed: false,
      cluster: 'trio',
      streams: [copiesOf('E', 3), copiesOf('W', 1)],
    }),
    check: 'nats.replicas',
    state: 'warning',
    says: '1 stream should have 3 copies: W has 1',
  },
  {
    what: 'more copies than a setting says',
    findings: judgeReplicas({ wanted: 1, fixed: true, cluster: 'trio', streams: [copiesOf('W', 3)] }),
    check: 'nats.replicas',
    state: 'warning',
    says: 'W has 3',
  },
  {
    what: 'a server of the cluster that is away',
    findings: judgeReplicas({
      wanted: 3,
      fixed: false,
      cluster: 'trio',
      streams: [copiesOf('E', 3, ['n2']), copiesOf('W', 3, ['n2'])],
    }),
    check: 'nats.replicas',
    state: 'warning',
    says: 'n2 is away or behind',
  },
  {
    what: 'Redis 6.2',
    findings: judgeRedis({ ...redis, version: '6.2.7' }),
    check: 'redis.version',
    state: 'fault',
  },
  {
    what: 'a failed append',
    findings: judgeRedis({ ...redis, lastAppendOk: false }),
    check: 'redis.persistence',
    state: 'fault',
    says: 'disk',
  },
  {
    what: 'Redis at its limit',
    findings: judgeRedis({ ...redis, maxMemoryBytes: 50 }),
    check: 'redis.memory',
    state: 'fault',
  },
  {
    what: 'Redis near its limit',
    findings: judgeRedis({ ...redis, maxMemoryBytes: 60 }),
    check: 'redis.memory',
    state: 'warning',
  },
  {
    what: 'keys that were evicted',
    findings: judgeRedis({ ...redis, evictedKeys: 3 }),
    check: 'redis.eviction',
    state: 'warning',
    says: '3 keys',
  },
  {
    what: 'a replica',
    findings: judgeRedis({ ...redis, role: 'slave' }),
    check: 'redis.replication',
    state: 'fault',
    says: 'lost its primary',
  },
  {
    what: 'refused connections',
    findings: judgeRedis({ ...redis, rejectedConnections: 1 }),
    check: 'redis.connections',
    state: 'warning',
  },
  {
    what: 'a Redis clock 3 s ahead',
    findings: judgeRedisClock({ offsetMs: 3_000, errorMs: 5 }),
    check: 'clock.redis',
    state: 'warning',
    says: '3.0 s ahead',
  },
  {
    what: 'a difference that the round trip may explain',
    findings: judgeRedisClock({ offsetMs: -1_400, errorMs: 500 }),
    check: 'clock.redis',
    state: 'ok',
  },
  {
    what: 'a host 2 s behind',
    findings: judgeEventClocks(
      [{ source: 'host/h1', offsetMs: -2_000, storedAt: '2026-01-01T00:00:00.000Z' }],
      ['host/h1'],
    ),
    check: 'clock.hosts',
    state: 'warning',
    says: 'host/h1 was 2.0 s behind NATS at its event of 2026-01-01T00:00:00Z',
  },
  {
    what: 'a host that is gone and was behind',
    findings: judgeEventClocks([{ source: 'host/gone', offsetMs: -2_000, storedAt: '' }], ['host/h1']),
    check: 'clock.hosts',
    state: 'ok',
    says: 'not known: host/h1',
  },
  { what: 'no leader', findings: judgeLeader(undefined, []), check: 'cluster.leader', state: 'fault' },
  {
    what: 'routes of a higher epoch',
    findings: judgeLeader(leader, [route(5)]),
    check: 'cluster.leader',
    state: 'fault',
  },
  {
    what: 'routes of a lower epoch',
    findings: judgeLeader(leader, [route(3)]),
    check: 'cluster.leader',
    state: 'warning',
  },
  {
    what: 'routes of the same epoch',
    findings: judgeLeader(leader, [route(4)]),
    check: 'cluster.leader',
    state: 'ok',
  },
  { what: 'no host', findings: judgeHosts([], 3_000, 4), check: 'hosts.leases', state: 'fault' },
  {
    what: 'a lease that ends soon',
    findings: judgeHosts([lease({}, 900)], 3_000, 4),
    check: 'hosts.leases',
    state: 'warning',
    says: '900 ms',
  },
  {
    what: 'a lapsed lease',
    findings: judgeHosts([lease({}, -20)], 3_000, 4),
    check: 'hosts.leases',
    state: 'fault',
  },
  {
    what: 'a host with a higher epoch',
    findings: judgeHosts([lease({ epoch: 9 })], 3_000, 4),
    check: 'hosts.leases',
    state: 'fault',
    says: '9',
  },
  {
    what: 'a host of another version',
    findings: judgeVersions([lease({ troupeVersion: '0.0.9' })], '0.1.0'),
    check: 'hosts.versions',
    state: 'warning',
    says: '0.0.9',
  },
  {
    what: 'two versions of ONNX Runtime',
    findings: judgeVersions([lease(), lease({ runtimeVersion: '1.29' })], '0.1.0'),
    check: 'hosts.versions',
    state: 'warning',
    says: '1.29, 1.30',
  },
  {
    what: 'a worker in fallback on its snapshot',
    findings: judgeWorkers([
      lease({ workers: [{ ...worker, state: 'fallback', servingVersion: 1, reason: 'load failed' }] }),
    ]),
    check: 'workers',
    state: 'warning',
    says: 'load failed',
  },
  {
    what: 'a worker in fallback without one',
    findings: judgeWorkers([lease({ workers: [{ ...worker, state: 'fallback' }] })]),
    check: 'workers',
    state: 'fault',
  },
  {
    what: 'a worker without NATS',
    findings: judgeWorkers([lease({ workers: [{ ...worker, natsConnected: false }] })]),
    check: 'workers',
    state: 'fault',
  },
  {
    what: 'a version that failed',
    findings: judgeModels([route(4, { state: 'failed', reason: 'golden case' })]),
    check: 'models',
    state: 'fault',
    says: 'golden case',
  },
  {
    what: 'a version with one of two workers',
    findings: judgeModels([route(4, { wanted: 2 })]),
    check: 'models',
    state: 'ok',
    says: '1 of 2',
  },
  {
    what: '256 descriptors',
    findings: judgeFiles({ limit: 256, open: 40 }),
    check: 'process.files',
    state: 'warning',
  },
  {
    what: 'the last descriptors',
    findings: judgeFiles({ limit: 4_096, open: 4_000 }),
    check: 'process.files',
    state: 'fault',
  },
  {
    what: 'a system that tells no limit',
    findings: judgeFiles(undefined),
    check: 'process.files',
    state: 'ok',
  },
];

describe("the doctor's judgement", () => {
  for (const { what, findings, check, state, says } of rows) {
    it(`of ${what} is ${state}`, () => {
      const found = findings.filter((one) => one.check === check);
      expect(found.map((one) => one.state)).to.deep.equal([state]);
      if (state !== 'ok') expect(found[0]?.advice, 'advice').to.be.a('string').and.not.equal('');
      if (says !== undefined) expect(`${found[0]?.found} ${found[0]?.advice}`).to.contain(says);
    });
  }

  it('compares versions by number, and takes none for too old', () => {
    expect(atLeast('2.10.0', '2.9.10')).to.equal(true);
    expect(atLeast('v2.11.0-RC.1', '2.11.0')).to.equal(true);
    expect(atLeast('2.9', '2.9.10')).to.equal(false);
    expect(atLeast('unknown', '2.9.10')).to.equal(false);
    expect([mebibytes(1_000), mebibytes(1024 * 1024), mebibytes(1.5 * 1024 * 1024)]).to.deep.equal([
      '1 KiB',
      '1 MiB',
      '1.5 MiB',
    ]);
  });

  it('reads the soft limit of open files, and none where it is unlimited', () => {
    const line = (soft: string) => `Limit  Soft  Hard\nMax open files            ${soft}  1048576  files\n`;
    expect(parseFileLimit(line('1024'))).to.equal(1_024);
    expect(parseFileLimit(line('unlimited'))).to.equal(undefined);
  });
});

describe('checks that run side by side', () => {
  it('tell of one that fails or hangs, and finish the others in order', async () => {
    const findings = await runChecks(
      [
        { name: 'a', run: () => Promise.reject(new TroupeError('redis.unreachable', 'gone')) },
        { name: 'b', run: () => new Promise(() => undefined) },
        { name: 'c', run: () => Promise.resolve([{ check: 'c', state: 'ok', found: 'well' }]) },
      ],
      20,
    );
    expect(findings.map(({ check, state }) => `${check} ${state}`)).to.deep.equal([
      'a fault',
      'b warning',
      'c ok',
    ]);
    expect(findings[0]?.found).to.contain('gone');
    expect(findings[0]?.advice).to.contain('REDIS_URL');
  });

  it('show ten of a kind, the gravest first, and count the rest', async () => {
    const many = Array.from(
      { length: 30 },
      (_, index): Finding => ({
        check: 'c',
        state: index === 29 ? 'fault' : 'warning',
        found: String(index),
      }),
    );
    const findings = await runChecks([{ name: 'c', run: () => Promise.resolve(many) }], 1_000);
    expect(findings).to.have.length(11);
    expect(findings[0]?.state).to.equal('fault');
    expect(findings.at(-1)?.found).to.equal('and 20 more like these');
  });
});
