/** What happens to requests when callers cancel, time runs out, the server restarts, or the client closes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Signature } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { connect, type InferResult, type TroupeClient } from '../../src/index.js';
import { expectReject } from '../expect-error.js';
import { type StandInCluster, type StandInRunner, startStandIn } from '../stand-in-cluster.js';

const rows: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
};

/** Kinds and numbers of what keeps this process alive; timers of mocha and the harness come and go. */
function handles(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== 'Timeout' && kind !== 'Immediate') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

describe('requests that end otherwise than by an answer', () => {
  let cluster: StandInCluster;
  let client: TroupeClient;
  let holder: StandInRunner;
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown) => unhandled.push(error);

  before(async () => {
    process.on('unhandledRejection', onUnhandled);
    cluster = await startStandIn();
    await cluster.serve('echo', 1, rows);
    holder = await cluster.serve('hold', 1, rows, () => 'hold');
    client = await connect({ servers: cluster.url });
  });
  after(async () => {
    await client?.close();
    await cluster?.stop();
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).to.deep.equal([]);
  });

  const nothingLeft = async () => {
    await waitUntil('the table of open requests is empty', () => client.openRequests === 0);
    await waitUntil('the queue is empty', async () => {
      holder.dropHeld();
      const { pending, ackPending } = await cluster.waiting('hold');
      return pending === 0 && ackPending === 0;
    });
  };

  it('a cancelled request rejects at once, and its runner is told', async () => {
    const controller = new AbortController();
    const work = client.infer('hold', new Float32Array(4), { signal: controller.signal });
    await waitUntil('the runner holds it', () => holder.heldCount === 1);
    controller.abort();
    const error = await expectReject(work, 'request.cancelled');
    expect(error.class).to.equal('cancelled');
    await waitUntil('the runner has dropped it', () => holder.heldCount === 0);
    await nothingLeft();
  });

  it('a request whose deadline passes rejects with the deadline in the message', async () => {
    await expectReject(
      client.infer('hold', new Float32Array(4), { deadlineMs: 60 }),
      'request.deadline',
      'hold',
      'ms',
    );
    await nothingLeft();
  });

  it('AbortSignal.timeout() cancels like any other signal', async () => {
    const signal = AbortSignal.timeout(40);
    await expectReject(client.infer('hold', new Float32Array(4), { signal }), 'request.cancelled');
    await nothingLeft();
  });

  it('after 1,000 cancelled and 1,000 expired requests nothing is left behind', async () => {
    await client.infer('echo', new Float32Array(4));
    const before = handles();
    const shared = new AbortController();
    const cancelled = Array.from({ length: 1_000 }, () =>
      expectReject(client.infer('hold', new Float32Array(4), { signal: shared.signal }), 'request.cancelled'),
    );
    await waitUntil('all are on their way', () => client.openRequests === 1_000);
    shared.abort();
    await Promise.all(cancelled);
    await nothingLeft();
    await Promise.all(
      Array.from({ length: 1_000 }, () =>
        expectReject(client.infer('hold', new Float32Array(4), { deadlineMs: 300 }), 'request.deadline'),
      ),
    );
    await nothingLeft();
    await waitUntil('the process holds what it held before', () => {
      expect(handles()).to.deep.equal(before);
      return true;
    });
    expect((await client.infer('echo', new Float32Array(4))).version).to.equal(1);
  });

  it('a NATS server that restarts under load costs no answer and gives no answer twice', async () => {
    const answers = new Map<string, InferResult[]>();
    let going = true;
    let next = 0;
    const ask = async () => {
      while (going) {
        const number = next++;
        const id = `n${number}`;
        const result = await client.infer('echo', Float32Array.of(number, 0, 0, 0), {
          id,
          deadlineMs: 30_000,
        });
        answers.set(id, [...(answers.get(id) ?? []), result]);
      }
    };
    const asking = Array.from({ length: 16 }, ask);
    await waitUntil('answers flow', () => answers.size > 50);
    await cluster.nats.restart();
    const atRestart = next;
    await waitUntil('answers flow again', () => answers.size > atRestart + 50);
    going = false;
    await Promise.all(asking);
    expect(answers.size).to.equal(next);
    for (const [id, results] of answers) {
      expect(results, id).to.have.lengthOf(1);
      expect(results[0]?.outputs.x?.data[0], id).to.equal(Number(id.slice(1)));
    }
    expect(client.openRequests).to.equal(0);
  }).timeout(60_000);

  it('a request that was running when the server died is run again and answered once', async () => {
    let released = false;
    const late = await cluster.serve('late', 1, rows, (request) => (released ? request.inputs : 'hold'));
    const work = client.infer('late', Float32Array.of(7, 0, 0, 0), { deadlineMs: 30_000 });
    let settled = 0;
    void work.finally(() => {
      settled += 1;
    });
    await waitUntil('it is held', () => late.heldCount === 1);
    released = true;
    await cluster.nats.kill();
    await delay(100);
    await cluster.nats.restart();
    const result = await work;
    expect(result.outputs.x?.data[0]).to.equal(7);
    expect(new Set(late.runs).size, 'every repeat bears the id of the first').to.equal(1);
    expect(late.runs.length).to.be.greaterThan(1);
    expect(settled).to.equal(1);
    late.dropHeld();
  }).timeout(60_000);

  it('close() rejects what is open, and everything after it, with client.closed', async () => {
    const other = await connect({ servers: cluster.url });
    const open = Array.from({ length: 10 }, () =>
      expectReject(other.infer('hold', new Float32Array(4)), 'client.closed'),
    );
    await waitUntil('they are open', () => other.openRequests === 10);
    const feed = other.events();
    const waiting = feed.next();
    const [first, second] = [other.close(), other.close()];
    await Promise.all([...open, first, second]);
    expect((await waiting).done).to.equal(true);
    expect(other.openRequests).to.equal(0);
    await expectReject(other.infer('echo', new Float32Array(4)), 'client.closed');
    await expectReject(other.models(), 'client.closed');
    await expectReject(other.registerModel({ name: 'm', bytes: new Uint8Array(1) }), 'client.closed');
    expect(await other.closed).to.equal(undefined);
    holder.dropHeld();
  });

  it('a client that closes with the server gone closes all the same', async () => {
    const lone = await startStandIn();
    try {
      await lone.serve('hold', 1, rows, () => 'hold');
      const other = await connect({ servers: lone.url });
      const open = expectReject(other.infer('hold', new Float32Array(4)), 'client.closed');
      await lone.nats.kill();
      const unknown = other.infer('nobody', 1).catch((error: unknown) => error);
      await other.close();
      await open;
      await unknown;
    } finally {
      await lone.stop();
    }
  }).timeout(60_000);
});
