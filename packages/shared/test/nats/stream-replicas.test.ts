/** How many copies of a stream are kept, on one server and on clusters of two and three. */
import type { NatsReplicas, TroupeError } from '@troupe/shared';
import {
  adjustReplicas,
  connectNats,
  declareRecordStreams,
  declareWorkConsumer,
  type NatsLink,
  readReplicas,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsCluster, startNatsCluster } from '../../../../test/harness/nats-cluster.js';
import { startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const limits = { queueLimit: 1_000, streamBytes: 16 * 1024 * 1024, ackWaitMs: 2_000 };
const links: NatsLink[] = [];

async function connectTo(url: string, replicas?: NatsReplicas): Promise<NatsLink> {
  const link = await connectNats({
    servers: url,
    name: 'test',
    namespace: 'troupe',
    ...(replicas === undefined ? {} : { replicas }),
  });
  links.push(link);
  return link;
}

async function declareAll(link: NatsLink): Promise<void> {
  await declareRecordStreams(link);
  await declareWorkConsumer(link, 'iris', 1, limits);
}

const copiesOf = async (link: NatsLink) =>
  (await readReplicas(link)).streams.map(({ stream, replicas }) => `${stream} ${replicas}`);
const all = (copies: number) =>
  ['KV_TROUPE_ROUTES', 'OBJ_TROUPE_ARTIFACTS', 'TROUPE_DEAD', 'TROUPE_EVENTS', 'TROUPE_WORK_iris'].map(
    (stream) => `${stream} ${copies}`,
  );

describe('copies of streams', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const link of links.splice(0)) await link.close();
  });

  it('on one server are one, and more are refused with the setting that asks for them', async () => {
    const server = await startNats();
    try {
      await declareAll(await connectTo(server.url));
      const link = await connectTo(server.url);
      expect(await copiesOf(link)).to.deep.equal(all(1));
      expect(await adjustReplicas(link)).to.deep.equal({ wanted: 1, changed: [], short: [] });
      const asking = await connectTo(server.url, 3);
      expect((await adjustReplicas(asking)).short).to.have.length(5);
      await server.restart(); // the queue is in memory, and gone
      await waitUntil('connected again', () => asking.isConnected());
      const refusal = await declareWorkConsumer(asking, 'iris', 1, limits).then(
        () => undefined,
        (error: TroupeError) => error,
      );
      expect(refusal?.reason).to.equal('config.invalid');
      expect(refusal?.message).to.contain('TROUPE_NATS_REPLICAS').and.contain('one server');
    } finally {
      await server.stop();
    }
  });

  it('in a cluster of two are one, and it is known which are short', async () => {
    const cluster = await startNatsCluster({ size: 2 });
    try {
      const link = await connectTo(cluster.url);
      await declareAll(link);
      expect(await copiesOf(link)).to.deep.equal(all(1));
      const { wanted, changed, short } = await adjustReplicas(link);
      expect({ wanted, changed, short: short.length }).to.deep.equal({ wanted: 3, changed: [], short: 5 });
    } finally {
      await cluster.stop();
    }
  });

  describe('in a cluster of three', () => {
    let cluster: NatsCluster;
    before(async () => {
      cluster = await startNatsCluster();
    });
    after(() => cluster?.stop());

    it('are one where a setting says so, raised where nobody does, and lowered by a setting alone', async () => {
      const fixed = await connectTo(cluster.url, 1);
      await declareAll(fixed);
      expect(await copiesOf(fixed)).to.deep.equal(all(1));
      const link = await connectTo(cluster.url);
      expect((await adjustReplicas(link)).changed).to.have.length(5);
      // A stream without a leader is in no list.
      await waitUntil(
        'there are three of each',
        async () => (await copiesOf(link)).join() === all(3).join(),
        {
          timeoutMs: 30_000,
        },
      );
      await waitUntil(
        'each copy is up to date',
        async () => (await readReplicas(link)).streams.every(({ missing }) => missing.length === 0),
        { timeoutMs: 30_000 },
      );
      expect((await adjustReplicas(link)).changed).to.deep.equal([]);
      expect((await adjustReplicas(fixed)).changed).to.have.length(5);
      await waitUntil('one is left', async () => (await copiesOf(fixed)).join() === all(1).join(), {
        timeoutMs: 30_000,
      });
    });
  });
});
