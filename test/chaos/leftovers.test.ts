/** After thousands of cancelled and expired requests nothing is left behind in any process, on the broker, or in memory. */
import type { TroupeClient } from '@troupe/client';
import { TroupeError } from '@troupe/shared';
import { connectNats, type NatsLink, queuedByVersion, workQueueCounts } from '@troupe/shared/nats';
import { expect } from 'chai';
import { startCluster, type TestCluster } from '../harness/cluster.js';
import { freePort } from '../harness/ports.js';
import { inspectProcess, type ProcessInspector } from '../harness/process-inspector.js';
import { waitUntil } from '../harness/wait-until.js';
import { slowOn } from '../models/misbehaving-models.js';

/** First column: how often the model's loop runs, about 1.8 µs each. */
const slowRow = [3_000, 0, 0, 0];
const quickRow = [1, 0, 0, 0];
const perRound = 1_000;

interface Connection {
  readonly name: string;
  readonly subscriptions: number;
}

describe('1,000 cancelled and 1,000 expired requests', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let link: NatsLink;
  let monitorPort: number;

  before(async () => {
    monitorPort = await freePort();
    cluster = await startCluster({
      hosts: 1,
      devices: 'cpu:0',
      env: { NODE_OPTIONS: '--inspect-port=0' },
      nats: { config: `http: "127.0.0.1:${monitorPort}"` },
    });
    client = await cluster.connect();
    link = await connectNats({ servers: cluster.natsUrl, namespace: cluster.namespace, name: 'observer' });
    await client.registerModel({ name: 'slow', bytes: slowOn(), maxBatchSize: 1, replicas: 1 });
  });

  after(async () => {
    await link?.close();
    await client?.close();
    await cluster?.stop();
  });

  /** Subscriptions of each connection of the broker, by the connection's name. */
  async function subscriptionCounts(): Promise<Record<string, number>> {
    const url = `http://127.0.0.1:${monitorPort}/connz`;
    const { connections } = (await (await fetch(url)).json()) as { connections: Connection[] };
    return Object.fromEntries(connections.map(({ name, subscriptions }) => [name, subscriptions]));
  }

  async function reasonOf(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
      return 'answered';
    } catch (error) {
      return error instanceof TroupeError ? error.reason : String(error);
    }
  }

  /** Cancels 1,000 requests, some before their PubAck, some queued, some running. */
  async function cancelMany(): Promise<number> {
    const outcomes = Array.from({ length: perRound }, async (_, index) => {
      const abort = new AbortController();
      const outcome = reasonOf(
        client.infer('slow', new Float32Array(slowRow), { signal: abort.signal, deadlineMs: 60_000 }),
      );
      if (index % 2 === 0) abort.abort();
      else setTimeout(() => abort.abort(), index % 20);
      return outcome;
    });
    return (await Promise.all(outcomes)).filter((outcome) => outcome === 'request.cancelled').length;
  }

  /** Lets 1,000 requests expire: each runs for milliseconds, all at once want to be answered within a few. */
  async function expireMany(): Promise<number> {
    let expired = 0;
    while (expired < perRound) {
      const outcomes = await Promise.all(
        Array.from({ length: perRound }, () =>
          reasonOf(client.infer('slow', new Float32Array(slowRow), { deadlineMs: 15 })),
        ),
      );
      expired += outcomes.filter((outcome) => outcome === 'request.deadline').length;
    }
    return expired;
  }

  async function settled(): Promise<void> {
    await waitUntil(
      'the tables of open requests are empty',
      async () => {
        const workers = await client.workers();
        return client.openRequests === 0 && workers.every(({ inFlight }) => inFlight === 0);
      },
      { timeoutMs: 30_000 },
    );
    await waitUntil(
      'nothing is queued or held',
      async () => {
        const counts = await workQueueCounts(link, 'slow', 1);
        const queued = [...(await queuedByVersion(link, 'slow')).values()].reduce(
          (sum, count) => sum + count,
          0,
        );
        return counts?.pending === 0 && counts.ackPending === 0 && queued === 0;
      },
      { timeoutMs: 30_000 },
    );
  }

  it('leave no entry, subscription, handle or heap behind, three rounds over', async () => {
    const [worker] = await client.workers();
    const [host] = cluster.hosts;
    const [coordinator] = cluster.coordinators;
    const pids = { runner: worker?.pid, host: host?.pid, coordinator: coordinator?.pid };
    const inspectors: Record<string, ProcessInspector> = {};
    for (const [name, pid] of Object.entries(pids)) inspectors[name] = await inspectProcess(pid as number);
    inspectors.client = await inspectProcess(process.pid);
    try {
      const heaps: Record<string, number[]> = {};
      const round = async () => {
        expect(await cancelMany()).to.be.at.least(perRound * 0.9);
        expect(await expireMany()).to.be.at.least(perRound);
        await settled();
        // One request more, so that all have seen a good one since.
        expect(await reasonOf(client.infer('slow', new Float32Array(quickRow)))).to.equal('answered');
        await settled();
        for (const [name, inspector] of Object.entries(inspectors)) {
          heaps[name] = [...(heaps[name] ?? []), await inspector.heapUsedBytes()];
        }
      };
      // The first round compiles code and fills pools; the second is the measure.
      await round();
      const subscriptions = await subscriptionCounts();
      const resources: Record<string, Record<string, number>> = {};
      for (const [name, inspector] of Object.entries(inspectors))
        resources[name] = await inspector.activeResources();
      await round();
      await round();
      await round();
      await waitUntil('the subscriptions are those of before', async () => {
        expect(await subscriptionCounts()).to.deep.equal(subscriptions);
        return true;
      });
      for (const [name, inspector] of Object.entries(inspectors)) {
        // Timers come and go with periods; handles must be the same, and timers may not pile up.
        await waitUntil(`${name} holds what it held before`, async () => {
          const now = await inspector.activeResources();
          const { Timeout: timers = 0, ...handles } = now;
          const { Timeout: timersBefore = 0, ...handlesBefore } = resources[name] ?? {};
          expect(handles, name).to.deep.equal(handlesBefore);
          return timers <= timersBefore + 2;
        });
      }
      for (const [name, sizes] of Object.entries(heaps)) {
        const [, second = 0] = sizes;
        const last = sizes.at(-1) ?? 0;
        // A leak of one entry for each of 6,000 requests would be megabytes; noise of a collection is not.
        expect(last - second, `${name}: ${sizes.join(', ')}`).to.be.lessThan(1_000_000);
      }
    } finally {
      for (const inspector of Object.values(inspectors)) inspector.close();
    }
  });
});
