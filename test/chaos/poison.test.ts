/** A request that ends every runner which takes it: it is found out, answered and kept, and costs nobody else an answer. */
import type { TroupeClient } from '@troupe/client';
import { TroupeError } from '@troupe/shared';
import { connectNats, type NatsLink, queuedByVersion } from '@troupe/shared/nats';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { slowOn } from '../models/misbehaving-models.js';

/** Runs for minutes: long enough to be found running, and killed, each time. */
const endlessRow = new Float32Array([100_000_000, 0, 0, 0]);
/** The request and the copy that its client publishes after the first death each have three strikes. */
const mostDeaths = 6;

describe('a request that ends its runner every time', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let link: NatsLink;

  before(async () => {
    cluster = await startCluster({ hosts: 1, devices: 'cpu:0', env: { TROUPE_RUN_LIMIT_MS: '600000' } });
    client = await cluster.connect();
    link = await connectNats({ servers: cluster.natsUrl, namespace: cluster.namespace, name: 'observer' });
    await client.registerModel({ name: 'slow', bytes: slowOn(), maxBatchSize: 1, replicas: 1 });
  });

  afterEach(function () {
    printLogsOnFailure(() => cluster).call(this);
  });

  after(async () => {
    await link?.close();
    await client?.close();
    await cluster?.stop();
  });

  it('is answered as poison and kept among the dead letters; others are answered, the version is not blamed', async () => {
    let outcome: unknown;
    const poison = client.infer('slow', endlessRow, { deadlineMs: 110_000 }).then(
      () => {
        outcome = 'answered';
      },
      (error: unknown) => {
        outcome = error;
      },
    );
    const killed = new Set<number>();
    while (outcome === undefined && killed.size <= mostDeaths) {
      const victim = await waitUntil(
        'a runner runs it, or it is answered',
        async () => {
          const [worker] = await client.workers();
          const runs = worker?.pid !== undefined && !killed.has(worker.pid) && worker.inFlight > 0;
          return outcome !== undefined || (runs && worker.pid);
        },
        { timeoutMs: 30_000 },
      );
      if (victim === true) break;
      killed.add(victim);
      process.kill(victim, 'SIGKILL');
    }
    await poison;
    expect(outcome).to.be.instanceOf(TroupeError);
    expect((outcome as TroupeError).reason).to.equal('request.poison');
    expect(killed.size).to.be.within(3, mostDeaths);

    const answer = await client.infer('slow', new Float32Array([1, 2, 3, 4]), { deadlineMs: 60_000 });
    expect(answer).to.include({ version: 1, degraded: false });
    const jsm = await link.connection.jetstreamManager();
    const dead = async () => (await jsm.streams.info(link.subjects.deadStream)).state.messages;
    await waitUntil('it is kept', async () => (await dead()) > 0);
    await waitUntil('no copy of it is left', async () => (await queuedByVersion(link, 'slow')).size === 0, {
      timeoutMs: 30_000,
    });
    expect(await dead(), 'once').to.equal(1);
  });
});
