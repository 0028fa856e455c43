/** Artifacts, routes, events and admin calls on a real server. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventKind, type RoutingEntry, TroupeError, type TroupeEvent } from '@troupe/shared';
import {
  callAdmin,
  connectNats,
  createArtifactStore,
  createRoutingPublisher,
  createRoutingView,
  declareRecordStreams,
  type NatsLink,
  publishEvent,
  recentEvents,
  sendHostCommand,
  serveAdmin,
  serveHostCommands,
  watchEvents,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

async function refusal(promise: Promise<unknown>): Promise<TroupeError> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(TroupeError);
    return error as TroupeError;
  }
  throw new Error('it was not refused');
}

const entry = (epoch: number, model = 'iris', serving = 1): RoutingEntry => ({
  epoch,
  model,
  labels: { stable: 1 },
  weights: [{ version: 1, weight: 1 }],
  versions: { '1': { signature: { inputs: [], outputs: [] }, serving, wanted: 2, state: 'ready' } },
});

describe('what a cluster keeps on NATS', () => {
  let server: NatsServer;
  let link: NatsLink;
  let other: NatsLink;
  let folder: string;
  const closers: (() => unknown)[] = [];

  beforeEach(async () => {
    server = await startNats();
    link = await connectNats({ servers: server.url, namespace: 'troupe', name: 'one' });
    other = await connectNats({ servers: server.url, namespace: 'staging', name: 'other' });
    folder = await mkdtemp(join(tmpdir(), 'troupe-artifacts-'));
  });

  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    await link.close();
    await other.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  describe('artifacts', () => {
    const bytes = randomBytes(3_000_000);
    const digest = createHash('sha256').update(bytes).digest('hex');

    it('come back byte for byte, several asked for at once, and leave no temporary file', async () => {
      const store = createArtifactStore(link);
      closers.push(() => store.close());
      const progress: number[] = [];
      await store.put(digest, bytes, (sent) => progress.push(sent));
      expect(progress.at(-1)).to.equal(bytes.length);
      await store.put(digest, bytes);
      const files = ['a', 'b', 'c'].map((name) => join(folder, name));
      await Promise.all(files.map((file) => store.fetchTo(digest, file)));
      for (const file of files) expect(Buffer.compare(await readFile(file), bytes)).to.equal(0);
      expect((await readdir(folder)).sort()).to.deep.equal(['a', 'b', 'c']);
      expect(await store.list()).to.deep.equal([digest]);
    });

    it('are refused under a digest that is not theirs', async () => {
      const store = createArtifactStore(link);
      closers.push(() => store.close());
      expect((await refusal(store.put('0'.repeat(64), bytes))).reason).to.equal('model.digest');
      expect(await store.has('0'.repeat(64))).to.equal(false);
    });

    it('that are not there are told apart from a store that does not answer', async () => {
      const store = createArtifactStore(link);
      closers.push(() => store.close());
      expect((await refusal(store.fetchTo(digest, join(folder, 'x')))).reason).to.equal('artifact.missing');
      await server.kill('SIGKILL');
      expect((await refusal(store.fetchTo(digest, join(folder, 'x')))).reason).to.equal(
        'artifact.unreachable',
      );
      expect(await readdir(folder)).to.deep.equal([]);
    });

    it('are gone after their deletion, and of another namespace untouched', async () => {
      const store = createArtifactStore(link);
      const staging = createArtifactStore(other);
      closers.push(
        () => store.close(),
        () => staging.close(),
      );
      await store.put(digest, bytes);
      await staging.put(digest, bytes);
      expect(await store.delete(digest)).to.equal(true);
      expect(await store.delete(digest)).to.equal(false);
      expect(await store.has(digest)).to.equal(false);
      expect(await staging.has(digest)).to.equal(true);
      await store.put(digest, bytes);
      expect(await store.has(digest)).to.equal(true);
    });
  });

  describe('routes', () => {
    beforeEach(() => declareRecordStreams(link));

    it('of a namespace without a Troupe are absent, and nothing is declared by looking for them', async () => {
      expect((await refusal(createRoutingView(other, () => undefined))).reason).to.equal('cluster.absent');
      const jsm = await link.connection.jetstreamManager();
      const names = await jsm.streams.names().next();
      expect(names.filter((name) => name.includes('STAGING'))).to.deep.equal([]);
    });

    it('are seen by a reader that was there before and by one that comes later', async () => {
      const early = await createRoutingView(link, () => undefined);
      closers.push(() => early.close());
      const publisher = createRoutingPublisher(link);
      expect(await publisher.publish(entry(1))).to.equal(true);
      await waitUntil('the early reader sees it', () => early.entry('iris') !== undefined);
      const late = await createRoutingView(link, () => undefined);
      closers.push(() => late.close());
      expect(late.entry('iris')).to.deep.equal(entry(1));
      expect(await publisher.remove('iris', 1)).to.equal(true);
      await waitUntil(
        'both see it go',
        () => early.entry('iris') === undefined && late.entry('iris') === undefined,
      );
    });

    it('of a lower epoch are refused, and never replace those of a higher one', async () => {
      const publisher = createRoutingPublisher(link);
      await publisher.publish(entry(7));
      expect(await publisher.publish(entry(6, 'iris', 0))).to.equal(false);
      expect(await publisher.remove('iris', 6)).to.equal(false);
      expect(await publisher.highestEpoch()).to.equal(7);
      expect(await publisher.readAll()).to.deep.equal([entry(7)]);
    });

    it('leave nothing behind when their reader is closed, whatever it was at', async () => {
      await createRoutingPublisher(link).publish(entry(1));
      const handles = () => process.getActiveResourcesInfo().length;
      const before = handles();
      for (let round = 0; round < 40; round += 1) {
        const own = await connectNats({ servers: server.url, namespace: 'troupe', name: 'brief' });
        const view = await createRoutingView(own, () => undefined);
        if (round % 2 === 0) await createRoutingPublisher(link).publish(entry(round + 2));
        for (let trip = 0; trip < round % 8; trip += 1) await own.connection.flush();
        await view.close();
        await own.close();
      }
      // The wait itself holds two timers; a leak would show once for every few rounds.
      await waitUntil('nothing more is held than before', () => handles() <= before + 2);
    });

    it('survive a restart of the server, and changes made after it are seen', async () => {
      const view = await createRoutingView(link, () => undefined);
      closers.push(() => view.close());
      await createRoutingPublisher(link).publish(entry(1));
      await waitUntil('it is seen', () => view.entry('iris') !== undefined);
      await server.restart();
      await waitUntil('connected again', () => link.isConnected());
      expect(view.entry('iris')?.epoch).to.equal(1);
      await waitUntil('the publisher works again', async () => {
        await createRoutingPublisher(link).publish(entry(2, 'iris', 5));
        return true;
      });
      await waitUntil('the change is seen', () => view.entry('iris')?.epoch === 2, { timeoutMs: 20_000 });
    }).timeout(40_000);
  });

  describe('events', () => {
    const event = (text: string): Omit<TroupeEvent, 'at'> => ({
      kind: EventKind.HostUp,
      source: 'host/a',
      text,
      data: {},
    });

    it('are heard as they come and kept for later, the newest last', async () => {
      await declareRecordStreams(link);
      await declareRecordStreams(link);
      const heard: string[] = [];
      closers.push(watchEvents(link, 'all', (one) => heard.push(one.text)));
      expect(await recentEvents(link, 10)).to.deep.equal([]);
      for (let index = 0; index < 20; index += 1) publishEvent(link, event(`e${index}`));
      await waitUntil('all are heard', () => heard.length === 20);
      await waitUntil('all are kept', async () => (await recentEvents(link, 100)).length === 20);
      expect((await recentEvents(link, 3)).map((one) => one.text)).to.deep.equal(['e17', 'e18', 'e19']);
    });
  });

  describe('calls', () => {
    it('are answered, with typed errors, and an empty payload means no arguments', async () => {
      const service = await serveAdmin(
        link,
        {
          version: '0.1.0',
          description: 'test',
          endpoints: [
            { noun: 'models', verb: 'list', handle: async (args) => ({ got: args }) },
            {
              noun: 'models',
              verb: 'fail',
              handle: async () => {
                throw new TroupeError('model.unknown', 'no model "irsi": did you mean "iris"?');
              },
            },
          ],
        },
        () => undefined,
      );
      closers.push(() => service.stop());
      expect(await callAdmin(link, 'models', 'list', { a: 1 })).to.deep.equal({ got: { a: 1 } });
      const raw = await link.connection.request('troupe.admin.models.list', new Uint8Array(0));
      expect(raw.json()).to.deep.equal({ got: {} });
      const error = await refusal(callAdmin(link, 'models', 'fail'));
      expect(error.reason).to.equal('model.unknown');
      expect(error.message).to.contain('did you mean');
      for (const bad of ['[1]', '{"a":', '7']) {
        const answer = await link.connection.request('troupe.admin.models.list', bad);
        expect(answer.headers?.get('Nats-Service-Error-Code')).to.equal('400');
      }
      expect((await refusal(callAdmin(other, 'models', 'list'))).reason).to.equal('cluster.absent');
    });

    it('to hosts are answered, and a host that is not there is told', async () => {
      closers.push(
        serveHostCommands(link, 'a', async (envelope) => ({ ok: true, epoch: envelope.epoch ?? 0 })),
      );
      const command = { kind: 'scale', slots: 2 } as const;
      expect(await sendHostCommand(link, 'a', { epoch: 4, command }, 1_000)).to.deep.equal({
        ok: true,
        epoch: 4,
      });
      expect((await refusal(sendHostCommand(link, 'b', { epoch: 4, command }, 1_000))).reason).to.equal(
        'placement.host_unknown',
      );
    });
  });
});
