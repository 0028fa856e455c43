/** What is left in the queue of a version that nobody serves, on a real server: nothing is lost, and nobody gets what he ruled out. */
import { createLog, TroupeError } from '@troupe/shared';
import {
  connectNats,
  createWorkPuller,
  createWorkSubmitter,
  declareWorkConsumer,
  type NatsLink,
  queuedByVersion,
  type WorkMessage,
  type WorkSubmitter,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../test/harness/nats-server.js';
import { waitUntil } from '../../../test/harness/wait-until.js';
import { clearLeftovers } from '../src/control/leftovers.js';

const limits = { queueLimit: 5_000, streamBytes: 64 * 1024 * 1024, ackWaitMs: 2_000 };
const left = { model: 'echo', version: 1 };
const retired = new TroupeError('model.version_retired', 'version 1 of model echo was retired');
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const patience = { timeoutMs: 30_000 };

describe('the queue of a version that nobody serves any more', function () {
  this.timeout(60_000);
  let server: NatsServer;
  let link: NatsLink;
  let clientLink: NatsLink;
  let submitter: WorkSubmitter;
  const closers: (() => unknown)[] = [];

  beforeEach(async () => {
    server = await startNats();
    link = await connectNats({ servers: server.url, namespace: 'troupe', name: 'leader' });
    clientLink = await connectNats({ servers: server.url, namespace: 'troupe', name: 'client' });
    submitter = createWorkSubmitter(clientLink);
    await declareWorkConsumer(link, 'echo', 1, limits);
  });
  afterEach(async () => {
    submitter.close();
    for (const close of closers.splice(0)) await close();
    await clientLink.close();
    await link.close();
    await server.stop();
  });

  /** Asks version 1, and says how it came out. */
  async function ask(text: string, more: { deadlineMs?: number; pinned?: boolean } = {}): Promise<string> {
    const message = { payload: encoder.encode(text), jsonLength: undefined };
    const work = { ...left, message, requestId: text, deadlineMs: 30_000, ...more };
    try {
      return decoder.decode((await submitter.submit(work))?.payload);
    } catch (error) {
      return (error as TroupeError).reason;
    }
  }
  const queued = async (version: number) => (await queuedByVersion(link, 'echo')).get(version) ?? 0;
  const hasQueued = (count: number) =>
    waitUntil('the requests are in the queue', async () => (await queued(1)) === count, patience);
  const log = createLog('test', 'silent');
  const clear = (successor: number | undefined, goesOn = () => true) =>
    clearLeftovers({ link, limits, goesOn, log }, left, successor, retired);

  /** Version 2 answers what comes to it. */
  function serveSuccessor(): WorkMessage[] {
    const taken: WorkMessage[] = [];
    const puller = createWorkPuller(link, {
      model: 'echo',
      version: 2,
      limits,
      freeSlots: () => 64,
      onMessage: (message) => {
        taken.push(message);
        const payload = encoder.encode(`2 ${decoder.decode(message.payload)}`);
        puller.answer(message, { payload, jsonLength: undefined });
        puller.pullMore();
      },
      onError: () => undefined,
    });
    puller.start();
    closers.push(() => puller.stop());
    return taken;
  }

  it('goes to the version that took its place, and none is lost; one that was pinned is told that it was retired', async () => {
    const texts = Array.from({ length: 300 }, (_, index) => `n${index}`);
    const answers = Promise.all(texts.map((text) => ask(text)));
    const pinned = ask('pinned', { pinned: true });
    await hasQueued(301);
    await waitUntil('it is cleared', async () => (await clear(2)).isEmpty, patience);
    expect(await queued(2), 'they wait there, whether or not it is loaded').to.be.at.least(300);
    const taken = serveSuccessor();
    expect(await answers).to.deep.equal(texts.map((text) => `2 ${text}`));
    expect(await pinned).to.equal('model.version_retired');
    for (const message of taken) expect(message.askedVersion).to.equal(1);
  });

  it('is answered as retired where no other version takes its requests', async () => {
    const answers = Promise.all([ask('one'), ask('two')]);
    await hasQueued(2);
    expect(await clear(undefined)).to.include({ handedOver: 0 });
    expect(await answers).to.deep.equal(['model.version_retired', 'model.version_retired']);
  });

  it('is left alone where its version comes back', async () => {
    const answer = ask('one');
    await hasQueued(1);
    expect(await clear(2, () => false)).to.include({ handedOver: 0 });
    expect(await queued(1)).to.equal(1);
    await waitUntil('it is cleared', async () => (await clear(2)).isEmpty, patience);
    serveSuccessor();
    expect(await answer).to.equal('2 one');
  });
});
