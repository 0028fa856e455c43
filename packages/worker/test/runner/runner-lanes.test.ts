/** The queues of a runner against a real NATS server: what stays of those that it has covered and left. */
import type { ModelVersion } from '@troupe/shared';
import {
  connectNats,
  createWorkSubmitter,
  type NatsLink,
  publishCancel,
  type WorkMessage,
  workQueueCounts,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import type { Lane } from '../../src/runner/lane.js';
import { RunnerLanes } from '../../src/runner/runner-lanes.js';

const model = 'm';
const limits = { ackWaitMs: 2_000, queueLimit: 1_000, streamBytes: 1024 * 1024 };

function versionOf(version: number): ModelVersion {
  return {
    version,
    digest: '0'.repeat(64),
    sizeBytes: 1,
    signature: { inputs: [], outputs: [] },
    batchable: false,
    batching: { maxBatchSize: 1, maxDelayMs: 0 },
    limits: {},
    golden: [],
    registeredAt: new Date(0).toISOString(),
  };
}

interface Held {
  readonly lane: Lane;
  readonly message: WorkMessage;
}

describe('RunnerLanes', function () {
  this.timeout(30_000);
  let nats: NatsServer;
  let link: NatsLink;
  let other: NatsLink;
  let held: Held[];
  let cancelled: string[];
  let lanes: RunnerLanes;

  before(async () => {
    nats = await startNats();
  });
  after(() => nats.stop());
  beforeEach(async () => {
    const namespace = `t${Date.now().toString(36)}`;
    link = await connectNats({ servers: nats.url, name: 'runner', namespace });
    other = await connectNats({ servers: nats.url, name: 'test', namespace });
    held = [];
    cancelled = [];
    lanes = new RunnerLanes({
      model,
      version: versionOf(1),
      limits,
      credits: 16,
      log: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as never,
      heldCount: () => held.length,
      heldOf: (lane) => held.filter((one) => one.lane === lane).length,
      onMessage: (lane, message) => held.push({ lane, message }),
      onCancel: (_, { id }) => cancelled.push(id),
      onCovered: () => undefined,
    });
    lanes.attach(link);
    lanes.serve(16);
    await link.connection.flush();
  });
  afterEach(async () => {
    await lanes.stop();
    lanes.close();
    await link.close();
    await other.close();
  });

  /** How often it hears one cancel of a request to version 2. */
  async function hearsCancel(): Promise<number> {
    await link.connection.flush(); // what was subscribed to or left is so for the server
    cancelled = [];
    publishCancel(other, model, 2, { id: 'nobody' });
    await other.connection.flush();
    await link.connection.flush();
    return cancelled.length;
  }

  it('hears a cancel once, however often it has covered and left a queue', async () => {
    for (let times = 0; times < 20; times += 1) {
      lanes.cover(versionOf(2), 'active');
      await link.connection.flush();
      lanes.cover(versionOf(2), 'ready');
      await link.connection.flush();
      lanes.uncover(2);
    }
    await waitUntil('the left queues are closed', async () => (await hearsCancel()) === 0);
    lanes.cover(versionOf(2), 'ready');
    expect(await hearsCancel()).to.equal(1);
  });

  it('hears cancels of a queue that it has left for as long as it holds something of it', async () => {
    const submitter = createWorkSubmitter(other);
    lanes.cover(versionOf(2), 'active');
    await waitUntil('the queue is there', () => workQueueCounts(other, model, 2));
    const message = { payload: new Uint8Array(1), jsonLength: undefined };
    const answered = submitter.submit({ model, version: 2, message, requestId: 'r', deadlineMs: 20_000 });
    await waitUntil('the request is held', () => held.length === 1);
    lanes.uncover(2);
    await link.connection.flush();
    expect(await hearsCancel()).to.equal(1);
    const [{ lane, message: taken } = {}] = held;
    if (taken === undefined) throw new Error('nothing is held');
    lane?.answer(taken, { payload: new Uint8Array([7]), jsonLength: undefined });
    expect((await answered)?.payload).to.deep.equal(Buffer.from([7]));
    held = [];
    lanes.pullMore();
    expect(await hearsCancel()).to.equal(0);
    submitter.close();
  });
});
