/** The verbs of the test cluster do what they say: else no test that uses them proves anything. */
import type { TroupeClient } from '@troupe/client';
import { identityModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';

describe('the test cluster', function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let client: TroupeClient;

  before(async () => {
    cluster = await startCluster({ devices: 'cpu:0', relayed: true, env: { TROUPE_LEASE_TTL_MS: '1000' } });
    client = await cluster.connect();
    await client.registerModel({ name: 'echo', bytes: identityModel(), replicas: 1 });
  });
  after(() => cluster?.stop());
  afterEach(printLogsOnFailure(() => cluster));

  const host = () => cluster.hosts[0] as TestCluster['hosts'][number];
  const ask = async (deadlineMs: number) =>
    client.infer('echo', Float32Array.of(1, 2, 3, 4), { deadlineMs }).then(
      () => 'answered',
      (error: Error & { reason?: string }) => error.reason,
    );

  it('knows the processes of the host: its runner is the one that serves', async () => {
    const pids = (await client.workers()).map(({ pid }) => pid);
    expect(host().runnerPids()).to.deep.equal(pids);
    expect(cluster.living().map(({ pid }) => pid)).to.include.members([host().pid, ...pids]);
  });

  it('cuts the cable to NATS, so that nothing gets through, and heals it', async () => {
    expect(await ask(5_000)).to.equal('answered');
    host().cut('nats');
    expect(await ask(500)).to.equal('request.deadline');
    host().heal('nats');
    expect(await ask(60_000)).to.equal('answered');
  });

  it('cuts the cable to Redis, so that the lease lapses, and heals it', async () => {
    host().cut('redis');
    await waitUntil('the lease has lapsed', async () =>
      (await client.hosts()).every((one) => one.leaseRemainingMs <= 0),
    );
    host().heal('redis');
    await waitUntil('the lease is back', async () =>
      (await client.hosts()).some((one) => one.leaseRemainingMs > 0),
    );
    await waitUntil('it answers', async () => (await ask(2_000)) === 'answered', { timeoutMs: 20_000 });
  });

  it('kills a host so that its end is seen, and starts another', async () => {
    expect(await host().kill()).to.equal('SIGKILL');
    expect(host().alive).to.equal(false);
    const next = await cluster.startHost();
    await waitUntil('the other host answers', async () => (await ask(2_000)) === 'answered', {
      timeoutMs: 20_000,
    });
    expect(next.runnerPids()).to.have.length(1);
    // Coordinator, host and runner: the dead host's own runner has ended by itself.
    await waitUntil('nothing of the dead host lives', () => cluster.living().length === 3);
  });
});
