/** A coordinator on real servers, with stand-in hosts: registration, placement, routes, failures. */

import { type HostLease, type RoutingEntry, TroupeError } from '@troupe/shared';
import {
  createRoutingPublisher,
  listWorkStreams,
  publishEvent,
  queuedByVersion,
  recentEvents,
  workQueueCounts,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { connectBare } from '../../../test/harness/bare-nats-client.js';
import { waitUntil } from '../../../test/harness/wait-until.js';
import { TestCluster } from './simulated/test-cluster.js';

async function expectReason(reason: string, work: Promise<unknown>): Promise<TroupeError> {
  try {
    await work;
  } catch (error) {
    expect(error).to.be.instanceOf(TroupeError);
    expect((error as TroupeError).reason, (error as Error).message).to.equal(reason);
    return error as TroupeError;
  }
  throw new Error(`nothing was thrown, ${reason} was expected`);
}

describe('a coordinator on real servers', () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.stop());

  const route = async (model: string): Promise<RoutingEntry | undefined> =>
    (await createRoutingPublisher(cluster.link).readAll()).find((entry) => entry.model === model);
  const isReady = async (model: string, version: number) =>
    (await route(model))?.versions[String(version)]?.state === 'ready';
  /** A door has a table of its own, and may hear of a route a moment later than who reads it where it is published. */
  const answers = (path: string, wanted: Record<string, unknown>) =>
    waitUntil(`${path} is answered with ${JSON.stringify(wanted)}`, async () => {
      expect((await cluster.infer(path)).body).to.include(wanted);
      return true;
    });
  const serving = (hosts: readonly HostLease[], model: string, version?: number) =>
    hosts.flatMap(({ host, report }) =>
      report.workers
        .filter((w) => w.model === model && w.state === 'serving' && (version ?? w.version) === w.version)
        .map((worker) => ({ host, ...worker })),
    );

  it('takes a model from its upload to an answer to a plain NATS request', async () => {
    await cluster.startCoordinator('c1');
    await cluster.startHost('h1');
    await cluster.startHost('h2');
    const registered = await cluster.register('iris', 'one');
    expect(registered).to.deep.equal({ model: 'iris', version: 1, created: true, label: 'stable' });
    const { body } = await cluster.infer('iris');
    expect(body).to.include({ model_name: 'iris', model_version: '1', pinned: false });
    await waitUntil('two workers serve, one on each host', async () => {
      const hosts = serving(await cluster.leases.listHosts(), 'iris').map((worker) => worker.host);
      return hosts.sort().join() === 'h1,h2';
    });
    const again = await cluster.register('iris', 'one');
    expect(again).to.include({ version: 1, created: false });
    const { models } = (await cluster.admin('models', 'list')) as { models: Record<string, unknown>[] };
    await waitUntil('the list shows both workers', async () => {
      const list = (await cluster.admin('models', 'list')) as {
        models: { versions: { serving: number }[] }[];
      };
      return list.models[0]?.versions[0]?.serving === 2;
    });
    expect(models[0]).to.include({ name: 'iris', replicas: 2 });
    expect((await cluster.infer('iris.1')).body).to.include({ model_version: '1', pinned: true });
    expect((await cluster.infer('iris.stable')).body).to.include({ model_version: '1', pinned: false });
  });

  it('answers at once that there is no slot, and serves as soon as a host is there', async () => {
    await cluster.startCoordinator('c1');
    const first = await cluster.startHost('h1', { slots: 1 });
    await cluster.register('ash', 'ash', { replicas: 1 });
    await waitUntil('ash is ready', () => isReady('ash', 1));
    await cluster.register('birch', 'birch', { replicas: 2 });
    await waitUntil(
      'birch is unplaced',
      async () => (await route('birch'))?.versions['1']?.state === 'unplaced',
    );
    await answers('birch', { class: 'unavailable', reason: 'placement.no_slot' });
    const refused = await cluster.infer('birch');
    expect(refused.body.error).to.contain('no free slot: 1 host with 1 slot in all');
    await cluster.admin('hosts', 'scale', { host: 'h1', slots: 2 });
    await waitUntil('birch is ready', () => isReady('birch', 1));
    expect(first.slots).to.equal(2);
    expect((await route('birch'))?.versions['1']).to.include({ serving: 1, wanted: 2 });
    await answers('birch', { model_name: 'birch' });
  });

  it('leaves nothing of a model that the trial refuses', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    host.trialRefusal = new TroupeError('model.not_onnx', 'the file is no ONNX model');
    const { digest, sizeBytes } = await cluster.upload('rubbish');
    const args = { name: 'bad', digest, sizeBytes };
    const error = await expectReason('model.not_onnx', cluster.admin('models', 'register', args));
    expect(error.message).to.equal('the file is no ONNX model');
    expect(await cluster.artifacts.has(digest)).to.equal(false);
    expect(await cluster.registry.model('bad')).to.equal(undefined);
    await expectReason('artifact.missing', cluster.admin('models', 'register', args));
  });

  it('refuses a registration where no host is up', async () => {
    await cluster.startCoordinator('c1');
    await expectReason('placement.no_host', cluster.register('iris', 'one'));
  });

  it('moves a label only when the new version serves, and then retires the old one with what waits for it', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    await cluster.register('iris', 'one');
    await waitUntil('version 1 is ready', () => isReady('iris', 1));
    const second = await cluster.upload('two');
    host.stuck.add(second.digest);
    await cluster.admin('models', 'register', { name: 'iris', ...second });
    expect((await cluster.infer('iris.2')).body).to.include({ reason: 'model.version_unknown' });
    await cluster.admin('models', 'label', { model: 'iris', label: 'stable', version: 2 });
    await waitUntil('version 2 loads', async () => (await route('iris'))?.versions['2']?.state === 'loading');
    expect((await cluster.infer('iris')).body).to.include({ model_version: '1' });
    // The old host never gets it loaded; a new one does.
    host.stuck.clear();
    await cluster.startHost('h2');
    await host.kill();
    await waitUntil('the label leads to version 2', async () => (await route('iris'))?.labels.stable === 2);
    await answers('iris', { model_version: '2' });
    await waitUntil('version 1 has no workers and no consumer', async () => {
      const workers = (await cluster.leases.listHosts()).flatMap(({ report }) => report.workers);
      return (
        workers.every((worker) => worker.version === 2) &&
        (await workQueueCounts(cluster.link, 'iris', 1)) === undefined
      );
    });
    await answers('iris.1', { reason: 'model.version_unknown' });
  });

  it('answers what is left in the queue of a deleted model, and removes its stream and artifact', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    const { digest, sizeBytes } = await cluster.upload('one');
    await cluster.admin('models', 'register', { name: 'iris', digest, sizeBytes, replicas: 1 });
    await waitUntil('iris is ready', () => isReady('iris', 1));
    host.holding = true;
    const waiting = cluster.infer('iris', undefined, { timeoutMs: 20_000 });
    await waitUntil('the host holds the request', () => host.held.length > 0);
    await cluster.admin('models', 'delete', { model: 'iris' });
    const { body } = await waiting;
    expect(body).to.include({ reason: 'model.unknown' });
    await waitUntil(
      'the stream is gone',
      async () => !(await listWorkStreams(cluster.link)).includes('iris'),
    );
    await waitUntil('the artifact is gone', async () => !(await cluster.artifacts.has(digest)));
    await waitUntil(
      'the door forgot it',
      async () => (await cluster.infer('iris')).body.reason === 'model.unknown',
    );
  });

  it('places the workers of a dead host anew within a lease TTL and a second', async () => {
    await cluster.startCoordinator('c1');
    const first = await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris is ready', () => isReady('iris', 1));
    await cluster.startHost('h2');
    // One full TTL without a gap must have passed before any lease counts as lapsed.
    await waitUntil('the sweep is steady', async () => (await cluster.leases.listHosts()).length === 2);
    await first.kill();
    await waitUntil('h2 serves', async () =>
      serving(await cluster.leases.listHosts(), 'iris').some((worker) => worker.host === 'h2'),
    );
    expect((await cluster.infer('iris')).body).to.include({ host: 'h2' });
    await waitUntil('the event is kept', async () =>
      (await recentEvents(cluster.link, 100)).some(
        (event) => event.kind === 'host.lost' && event.data.host === 'h1',
      ),
    );
  });

  it('moves the workers of a stopping host away before it goes', async () => {
    await cluster.startCoordinator('c1');
    const first = await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris is ready', () => isReady('iris', 1));
    await cluster.startHost('h2');
    await first.announceStop();
    await waitUntil('h2 serves, too', async () =>
      serving(await cluster.leases.listHosts(), 'iris').some((worker) => worker.host === 'h2'),
    );
    expect(first.workers.map((worker) => worker.state)).to.deep.equal(['serving']);
  });

  it('has another coordinator take over with a higher epoch when the leader goes, and routes keep answering', async () => {
    const one = await cluster.startCoordinator('c1');
    const two = await cluster.startCoordinator('c2');
    expect([one.epoch(), two.epoch()].filter((epoch) => epoch !== undefined)).to.have.length(1);
    const host = await cluster.startHost('h1');
    await cluster.register('iris', 'one');
    await waitUntil('iris is ready', () => isReady('iris', 1));
    const before = one.epoch() ?? two.epoch() ?? 0;
    const [leader, follower] = one.epoch() === undefined ? [two, one] : [one, two];
    await leader.close();
    expect(await leader.closed).to.deep.equal({ kind: 'stopped' });
    const after = await waitUntil('the other one leads', () => follower.epoch());
    expect(after).to.be.above(before);
    await waitUntil('routes carry the new epoch', async () => (await route('iris'))?.epoch === after);
    expect((await cluster.infer('iris')).body).to.include({ model_version: '1' });
    await cluster.register('ash', 'ash');
    await waitUntil('ash is ready', () => isReady('ash', 1));
    expect(host.highestEpoch).to.equal(after);
  });

  it('with Redis away goes on answering by the last routes, refuses admin writes, and evicts nobody when Redis is back', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris is ready', () => isReady('iris', 1));
    await cluster.redis.kill('SIGTERM');
    await expectReason(
      'redis.unreachable',
      cluster.admin('models', 'replicas', { model: 'iris', replicas: 2 }),
    );
    expect((await cluster.infer('iris')).body).to.include({ model_version: '1' });
    await cluster.redis.restart();
    await waitUntil('the control plane works again', async () => {
      await cluster.admin('models', 'replicas', { model: 'iris', replicas: 2 });
      return serving(await cluster.leases.listHosts(), 'iris').length === 2;
    });
    expect(host.commands.filter((command) => command.kind === 'drain')).to.deep.equal([]);
  });

  it('after a freeze of Redis longer than the TTL no live host is lost', async () => {
    await cluster.startCoordinator('c1');
    await cluster.startHost('h1');
    await cluster.startHost('h2');
    await cluster.register('iris', 'one');
    await waitUntil('both serve', async () => serving(await cluster.leases.listHosts(), 'iris').length === 2);
    cluster.redis.freeze();
    const frozenAtMs = performance.now();
    await waitUntil(
      'more than one TTL passed',
      () => performance.now() - frozenAtMs > 1.5 * cluster.settings.leaseTtlMs,
    );
    cluster.redis.thaw();
    await waitUntil('renewals come again', async () =>
      (await cluster.leases.listHosts()).every((lease) => lease.remainingMs > 0),
    );
    const events = await recentEvents(cluster.link, 100);
    expect(events.filter((event) => event.kind === 'host.lost')).to.deep.equal([]);
    expect((await cluster.infer('iris')).body).to.include({ model_version: '1' });
  });

  for (const when of ['before', 'behind'] as const)
    it(`a registration bears a Redis that is silent ${when} its trial`, async () => {
      await cluster.startCoordinator('c1');
      const host = await cluster.startHost('h1');
      const args = { name: 'iris', ...(await cluster.upload('one')) };
      let frozenAtMs = Number.POSITIVE_INFINITY;
      const freeze = () => {
        cluster.redis.freeze();
        frozenAtMs = performance.now();
      };
      if (when === 'before') freeze();
      else host.onTrial = freeze;
      const registered = cluster.admin('models', 'register', args);
      registered.catch(() => {}); // heard of below
      await waitUntil('more than a call of Redis may take has passed', () => {
        return performance.now() - frozenAtMs > 2_000;
      });
      cluster.redis.thaw();
      expect(await registered).to.include({ model: 'iris', version: 1, label: 'stable' });
      expect(host.commands.filter(({ kind }) => kind === 'trial')).to.have.length(1);
      expect(Object.keys((await cluster.registry.model('iris'))?.versions ?? {})).to.deep.equal(['1']);
    });

  it('a registration ends where Redis does not come back, or its coordinator stops, and leaves the artifact', async () => {
    const coordinator = await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    host.onTrial = () => cluster.redis.freeze();
    const [one, two] = [await cluster.upload('one'), await cluster.upload('two')];
    await expectReason('redis.unreachable', cluster.admin('models', 'register', { name: 'iris', ...one }));
    cluster.redis.thaw();
    await waitUntil('the host is up again', async () =>
      (await cluster.leases.listHosts()).every((lease) => lease.remainingMs > 0),
    );
    const stopped = expectReason(
      'redis.unreachable',
      cluster.admin('models', 'register', { name: 'iris', ...two }),
    );
    await waitUntil(
      'it has been tried',
      () => host.commands.filter(({ kind }) => kind === 'trial').length === 2,
    );
    await Promise.all([coordinator.close(), stopped]);
    expect(await cluster.artifacts.has(one.digest)).to.equal(true);
    cluster.redis.thaw();
  });

  it('goes on after a restart of NATS', async () => {
    await cluster.startCoordinator('c1');
    await cluster.startHost('h1');
    await cluster.register('iris', 'one');
    await waitUntil('iris is ready', () => isReady('iris', 1));
    await cluster.nats.restart();
    await waitUntil('the admin API answers', () => cluster.admin('models', 'list', {}, 500));
    const bare = await connectBare(cluster.nats.url);
    try {
      const answer = await waitUntil('the door answers', async () => {
        const message = await bare.request('troupe.infer.iris', '{"inputs":[]}', { timeoutMs: 5_000 });
        return JSON.parse(message.payload.toString()) as Record<string, unknown>;
      });
      expect(answer).to.include({ model_version: '1' });
    } finally {
      bare.close();
    }
  });

  it('counts strikes, and takes a request out of its queue at the third', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris is ready', () => isReady('iris', 1));
    host.holding = true;
    const answer = cluster.infer('iris');
    const message = await waitUntil('the host holds the request', () => host.held[0]);
    for (let strike = 0; strike < 3; strike += 1) {
      publishEvent(cluster.link, {
        kind: 'request.strike',
        source: 'host/h1',
        text: 'a runner died of one request',
        data: { model: 'iris', version: 1, device: 'cpu:0', sequence: message.ref.streamSequence },
      });
    }
    expect((await answer).body).to.include({ reason: 'request.poison', class: 'internal' });
    await waitUntil(
      'the queue is empty',
      async () => ((await queuedByVersion(cluster.link, 'iris')).get(1) ?? 0) === 0,
    );
  });
});
