/** A cluster of three NATS servers under load: each stream is on all of them, and any one of them may be lost. */
import type { TroupeClient } from '@troupe/client';
import { connectNats, type NatsLink } from '@troupe/shared/nats';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { type IrisLoad, startIrisLoad, summarize } from '../harness/iris-load.js';
import { registerIris } from '../harness/iris-model.js';
import { type NatsCluster, startNatsCluster } from '../harness/nats-cluster.js';
import { waitUntil } from '../harness/wait-until.js';

/** A stream's copies as the servers tell them. */
interface Copies {
  readonly stream: string;
  readonly wanted: number;
  readonly leader: string | undefined;
  /** Servers whose copy is up to date, the leader among them. */
  readonly current: readonly string[];
  /** All that is told of the others: who is behind, by how much, heard of when. */
  readonly told: string;
}

describe('a cluster of three NATS servers', function () {
  this.timeout(180_000);
  let nats: NatsCluster;
  let cluster: TestCluster;
  let client: TroupeClient;
  let link: NatsLink;
  let load: IrisLoad | undefined;

  before(async () => {
    nats = await startNatsCluster();
    cluster = await startCluster({ nats: nats.entry, hosts: 2, devices: 'cpu:0' });
    client = await cluster.connect();
    await registerIris(client);
    link = await connectNats({ servers: nats.url, name: 'test', namespace: 'troupe' });
    await waitUntil(
      'two workers serve',
      async () => (await client.workers()).filter(({ state }) => state === 'serving').length >= 2,
      { timeoutMs: 30_000 },
    );
  });
  afterEach(async function () {
    printLogsOnFailure(() => cluster).call(this);
    await load?.stop();
    load = undefined;
  });
  after(async () => {
    await link?.close();
    await cluster?.stop();
    await nats?.stop();
  });

  async function copies(): Promise<Copies[]> {
    const jsm = await link.connection.jetstreamManager({ timeout: 2_000 });
    const all: Copies[] = [];
    for await (const { config, cluster: state } of jsm.streams.list()) {
      const up = (state?.replicas ?? []).filter(({ current, offline }) => current && offline !== true);
      const leader = state?.leader;
      all.push({
        stream: config.name,
        wanted: config.num_replicas,
        leader,
        current: [...(leader === undefined ? [] : [leader]), ...up.map(({ name }) => name)].sort(),
        told: JSON.stringify(state?.replicas),
      });
    }
    return all.sort((a, b) => (a.stream < b.stream ? -1 : 1));
  }

  async function everywhere(): Promise<void> {
    await waitUntil(
      'each stream is on three servers',
      async () => {
        const all = await copies();
        expect(all.length).to.be.at.least(5);
        for (const { current, leader, stream, told } of all) {
          expect(current, `${stream}, led by ${leader}, ${told}`).to.deep.equal(['n1', 'n2', 'n3']);
        }
        return true;
      },
      { timeoutMs: 60_000 },
    );
  }

  async function loaded(): Promise<IrisLoad> {
    // Longer than the servers take to choose another leader: 4 to 9 s for a stream, and as long for its consumer.
    const started = await startIrisLoad(client, { inFlight: 32, deadlineMs: 60_000 });
    load = started;
    await waitUntil('the load is under way', () => started.results.length > 300, { timeoutMs: 30_000 });
    return started;
  }

  it('keeps three copies of each stream and bucket', async () => {
    await everywhere();
    expect((await copies()).map(({ stream, wanted }) => `${stream} ${wanted}`)).to.deep.equal([
      'KV_TROUPE_ROUTES 3',
      'OBJ_TROUPE_ARTIFACTS 3',
      'TROUPE_DEAD 3',
      'TROUPE_EVENTS 3',
      'TROUPE_WORK_iris 3',
    ]);
    await waitUntil('the doctor says so', async () => {
      const { findings } = await client.doctor();
      const { state, found } = findings.find(({ check }) => check === 'nats.replicas') ?? {};
      expect({ state, found }).to.deep.equal({
        state: 'ok',
        found: 'cluster trio: 5 streams with 3 copies each',
      });
      return true;
    });
  });

  for (const which of ['leads the queue', 'only follows'] as const) {
    it(`loses no request with the server that ${which}, and takes it back`, async () => {
      await everywhere();
      const running = await loaded();
      // While servers change places a question may be lost.
      const { leader } = await waitUntil('the queue tells its leader', async () =>
        (await copies()).find(({ stream }) => stream === 'TROUPE_WORK_iris'),
      );
      const victim =
        which === 'leads the queue' ? leader : ['n1', 'n2', 'n3'].find((name) => name !== leader);
      const server = nats.server(victim ?? '');
      await server.kill('SIGKILL');
      const killedAt = running.results.length;
      await waitUntil('the load goes on without it', () => running.results.length > killedAt + 1_000, {
        timeoutMs: 90_000,
      });
      await server.restart();
      await everywhere();
      const backAt = running.results.length;
      await waitUntil('the load goes on with it', () => running.results.length > backAt + 300, {
        timeoutMs: 60_000,
      });
      expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
    });
  }
});
