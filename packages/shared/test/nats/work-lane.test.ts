/** The work lane on a real server: submitter and puller together, through restarts, cancels, expiry and drain. */

import { createServer } from 'node:net';
import { EventKind, TroupeError } from '@troupe/shared';
import {
  connectNats,
  createWorkPuller,
  createWorkSubmitter,
  declareWorkConsumer,
  type NatsLink,
  nakOnBehalf,
  publishEvent,
  queuedByVersion,
  redeclareLane,
  serveCancels,
  subscribeCancels,
  type WorkMessage,
  type WorkPuller,
  type WorkSubmitter,
  workQueueCounts,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const limits = { queueLimit: 5_000, streamBytes: 64 * 1024 * 1024, ackWaitMs: 2_000 };
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const message = (text: string) => ({ payload: encoder.encode(text), jsonLength: undefined });

async function refusal(promise: Promise<unknown>): Promise<TroupeError> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(TroupeError);
    return error as TroupeError;
  }
  throw new Error('it was not refused');
}

describe('the work lane', () => {
  let server: NatsServer;
  let clientLink: NatsLink;
  let runnerLink: NatsLink;
  let submitter: WorkSubmitter;
  const closers: (() => unknown)[] = [];

  beforeEach(async () => {
    server = await startNats();
    const options = { servers: server.url, namespace: 'troupe' };
    clientLink = await connectNats({ ...options, name: 'client' });
    runnerLink = await connectNats({ ...options, name: 'runner' });
    submitter = createWorkSubmitter(clientLink);
  });

  afterEach(async () => {
    submitter.close();
    for (const close of closers.splice(0)) await close();
    await clientLink.close();
    await runnerLink.close();
    await server.stop();
  });

  function pull(
    onMessage: (message: WorkMessage, puller: WorkPuller) => void,
    options: { credits?: number; link?: NatsLink } = {},
  ): { puller: WorkPuller; taken: WorkMessage[]; free: (count: number) => void } {
    const taken: WorkMessage[] = [];
    let slots = options.credits ?? 64;
    const puller = createWorkPuller(options.link ?? runnerLink, {
      model: 'echo',
      version: 1,
      limits,
      freeSlots: () => slots,
      onMessage: (one) => {
        slots -= 1;
        taken.push(one);
        onMessage(one, puller);
      },
      onError: () => undefined,
    });
    puller.start();
    closers.push(() => puller.stop());
    return {
      puller,
      taken,
      free: (count) => {
        slots += count;
        puller.pullMore();
      },
    };
  }

  function echo(link = runnerLink) {
    const lane = pull(
      (one, puller) => {
        puller.answer(one, message(decoder.decode(one.payload)));
        lane.free(1);
      },
      { link },
    );
    return lane;
  }

  const ask = (text: string, deadlineMs = 10_000, more: object = {}) =>
    submitter.submit({
      model: 'echo',
      version: 1,
      message: message(text),
      requestId: text,
      deadlineMs,
      ...more,
    });

  it('answers each of 2,000 requests with its own answer, and leaves the queue empty', async () => {
    echo();
    const answers = await Promise.all(Array.from({ length: 2_000 }, (_, index) => ask(`n${index}`)));
    expect(answers.map((answer) => decoder.decode(answer?.payload))).to.deep.equal(
      Array.from({ length: 2_000 }, (_, index) => `n${index}`),
    );
    expect(submitter.openCount).to.equal(0);
    await waitUntil(
      'nothing is pending',
      async () => (await workQueueCounts(clientLink, 'echo', 1))?.messages === 0,
    );
  });

  it('takes the memory of a large request back with its answer, and not before', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const lane = pull(() => undefined);
    const payload = submitter.takeMemory(200_000).fill(120);
    const asked = ask('x', 10_000, { message: { payload, jsonLength: undefined } });
    const taken = await waitUntil('it is taken', () => lane.taken[0]);
    expect(submitter.takeMemory(200_000).buffer).not.to.equal(payload.buffer);
    lane.puller.answer(taken, message('y'));
    expect(decoder.decode((await asked)?.payload)).to.equal('y');
    expect(submitter.takeMemory(200_000).buffer).to.equal(payload.buffer);
  });

  it('never holds more requests than it has credits (P1)', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const lane = pull(() => undefined, { credits: 5 });
    const open = Array.from({ length: 40 }, (_, index) => ask(`n${index}`));
    await waitUntil('five are taken', () => lane.taken.length === 5);
    const counts = await waitUntil('all are stored', async () => {
      const now = await workQueueCounts(clientLink, 'echo', 1);
      return now?.messages === 40 && now;
    });
    expect(counts.ackPending).to.equal(5);
    let done = 0;
    while (done < 40) {
      await waitUntil('more are taken', () => lane.taken.length > done);
      expect(lane.taken.length - done).to.be.at.most(5);
      const one = lane.taken[done] as WorkMessage;
      done += 1;
      lane.puller.answer(one, message(decoder.decode(one.payload)));
      lane.free(1);
    }
    await Promise.all(open);
  });

  it('asks for no more than 32 messages ahead of what it has read, however many credits it has (P1)', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const asked: number[] = [];
    const pulls = clientLink.connection.subscribe('$JS.API.CONSUMER.MSG.NEXT.>', {
      callback: (_, msg) => asked.push(msg.json<{ batch: number }>().batch),
    });
    closers.push(() => pulls.unsubscribe());
    await clientLink.connection.flush();
    const lane = pull(() => undefined, { credits: 500 });
    await waitUntil('it has asked', () => asked.length > 0);
    for (let nudge = 0; nudge < 5; nudge += 1) {
      lane.puller.pullMore();
      await runnerLink.connection.flush();
    }
    await clientLink.connection.flush();
    expect(asked.reduce((sum, batch) => sum + batch, 0)).to.equal(32);
  });

  it('asks for nothing before its queue is declared: the server would drop that without a word (P2)', async () => {
    const lane = echo();
    lane.free(0);
    // Less than it takes to notice lost pulls.
    expect(await ask('first', 2_500)).to.not.equal(undefined);
  });

  it('waits for a stream that nobody has declared yet, and gives up at the deadline', async () => {
    const error = await refusal(ask('early', 300));
    expect(error.reason).to.equal('request.deadline');
    const open = ask('late', 10_000);
    echo();
    expect(decoder.decode((await open)?.payload)).to.equal('late');
  });

  it('surfaces a full queue at once, with a time to retry after', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, { ...limits, queueLimit: 3 });
    const open = [ask('1', 1_500), ask('2', 1_500), ask('3', 1_500)];
    const settled = Promise.allSettled(open);
    await waitUntil(
      'three are stored',
      async () => (await workQueueCounts(clientLink, 'echo', 1))?.messages === 3,
    );
    const error = await refusal(ask('4'));
    expect(error.reason).to.equal('queue.full');
    expect(error.retryAfterMs).to.be.greaterThan(0);
    await settled;
  });

  it('answers every request once when the server is killed and loses its memory', async () => {
    const lane = echo();
    let answered = 0;
    const open = Array.from({ length: 500 }, async (_, index) => {
      const answer = await ask(`n${index}`, 20_000);
      answered += 1;
      expect(decoder.decode(answer?.payload)).to.equal(`n${index}`);
    });
    await waitUntil('some are answered', () => answered > 0 || lane.taken.length > 0);
    await server.kill('SIGKILL');
    const during = Array.from({ length: 50 }, (_, index) => ask(`during${index}`, 20_000));
    await server.restart();
    await Promise.all([...open, ...during]);
    expect(submitter.openCount).to.equal(0);
  });

  it('goes on after its consumer was deleted', async () => {
    echo();
    await ask('before');
    const jsm = await clientLink.connection.jetstreamManager();
    await jsm.consumers.delete(clientLink.subjects.workStream('echo'), clientLink.subjects.workConsumer(1));
    expect(decoder.decode((await ask('after'))?.payload)).to.equal('after');
  });

  it('goes on after its stream was deleted', async () => {
    echo();
    await ask('before');
    const jsm = await clientLink.connection.jetstreamManager();
    await jsm.streams.delete(clientLink.subjects.workStream('echo'));
    expect(decoder.decode((await ask('after', 20_000))?.payload)).to.equal('after');
  }).timeout(30_000);

  it('rejects a cancelled request at once, tells the runner, and deletes what is still queued', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const cancels: string[] = [];
    closers.push(subscribeCancels(runnerLink, 'echo', 1, ({ id }) => cancels.push(id)));
    closers.push(serveCancels(runnerLink, () => undefined));
    await runnerLink.connection.flush();
    const abort = new AbortController();
    const open = refusal(ask('gone', 10_000, { signal: abort.signal }));
    await waitUntil(
      'it is stored',
      async () => (await workQueueCounts(clientLink, 'echo', 1))?.pending === 1,
    );
    abort.abort();
    expect((await open).reason).to.equal('request.cancelled');
    await waitUntil('it is deleted', async () => (await queuedByVersion(clientLink, 'echo')).size === 0);
    await waitUntil('the runner was told', () => cancels.length === 1);
    expect(submitter.openCount).to.equal(0);
  });

  it('leaves nothing in the table after requests that were cancelled before their PubAck', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    closers.push(serveCancels(runnerLink, () => undefined));
    await runnerLink.connection.flush();
    const errors = await Promise.all(
      Array.from({ length: 200 }, (_, index) => {
        const abort = new AbortController();
        const open = refusal(ask(`n${index}`, 10_000, { signal: abort.signal }));
        abort.abort();
        return open;
      }),
    );
    expect(new Set(errors.map((error) => error.reason))).to.deep.equal(new Set(['request.cancelled']));
    await waitUntil('the table is empty', () => submitter.openCount === 0);
    await waitUntil('the queue is empty', async () => (await queuedByVersion(clientLink, 'echo')).size === 0);
  });

  it('redelivers within milliseconds what is given back on behalf of a dead runner', async () => {
    const first = pull(() => undefined, { credits: 1 });
    const open = ask('again');
    await waitUntil('it is taken', () => first.taken.length === 1);
    await first.puller.stop();
    echo();
    nakOnBehalf(clientLink, (first.taken[0] as WorkMessage).ref);
    expect(decoder.decode((await open)?.payload)).to.equal('again');
  });

  const runnerDied = (version: number) =>
    publishEvent(runnerLink, {
      kind: EventKind.RunnerDied,
      source: 'host/a',
      text: 'a runner died',
      data: { model: 'echo', version },
    });

  it('publishes again what a dead runner may have had in its socket, once, and withdraws the copies (S3)', async () => {
    closers.push(serveCancels(runnerLink, () => undefined));
    const dead = pull(() => undefined);
    const open = ask('again');
    await waitUntil('it is taken', () => dead.taken.length === 1);
    runnerDied(1);
    await waitUntil('it came again', () => dead.taken.length === 2);
    runnerDied(1);
    runnerDied(1);
    await dead.puller.stop();
    expect(dead.taken.map(({ requestId }) => requestId)).to.deep.equal(['again', 'again']);
    const [original, copy] = dead.taken;
    // By this alone a runner that holds the first one looks for it.
    expect(copy?.repeated).to.equal(true);
    // A message of its own: what comes again after ack_wait would be the first one.
    expect(copy?.ref.streamSequence).to.not.equal(original?.ref.streamSequence);
    dead.puller.answer(copy as WorkMessage, message('answered'));
    expect(decoder.decode((await open)?.payload)).to.equal('answered');
    // The first one is in no living hands: it is deleted, and not run after ack_wait for nobody.
    await waitUntil('nothing is left', async () => (await queuedByVersion(clientLink, 'echo')).size === 0, {
      timeoutMs: limits.ackWaitMs / 2,
    });
  });

  it('publishes again what waited in a queue that was declared anew, and its runners go on at once (S2, P3)', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const open = ask('waiting');
    await waitUntil('it waits', async () => (await queuedByVersion(clientLink, 'echo')).get(1) === 1);
    await redeclareLane(runnerLink, 'echo');
    expect(await workQueueCounts(clientLink, 'echo', 1)).to.include({ messages: 0 });
    const lane = echo();
    await waitUntil('its runner is there', () => lane.puller.lastPullAgoMs() === 0);
    expect(lane.taken).to.deep.equal([]);
    publishEvent(runnerLink, {
      kind: EventKind.QueueReset,
      source: 'coordinator/c',
      text: 'declared anew',
      data: { model: 'echo' },
    });
    expect(decoder.decode((await open)?.payload)).to.equal('waiting');
    expect((await ask('after'))?.payload).to.not.equal(undefined);
  });

  it('does not publish again for the death of another version', async () => {
    const lane = pull(() => undefined);
    const open = ask('calm', 700);
    await waitUntil('it is taken', () => lane.taken.length === 1);
    runnerDied(2);
    expect((await refusal(open)).reason).to.equal('request.deadline');
    expect(lane.taken).to.have.length(1);
  });

  it('tells what is left of the deadline, time in the queue taken off', async () => {
    await declareWorkConsumer(runnerLink, 'echo', 1, limits);
    const lane = echo();
    await ask('warm', 5_000);
    lane.free(-64);
    await waitUntil('no pull can take more', async () => lane.taken.length === 1);
    const first = lane.taken[0] as WorkMessage;
    expect(first.budgetMs).to.be.within(1, 5_000);
  });

  it('hands out what still arrives while it stops, and nothing is lost (P4)', async () => {
    const lane = echo();
    const second = await connectNats({ servers: server.url, namespace: 'troupe', name: 'second' });
    closers.push(() => second.close());
    const open = Array.from({ length: 300 }, (_, index) => ask(`n${index}`, 1_900));
    await lane.puller.stop();
    echo(second);
    // All within the deadline, which is below ack_wait: so none was stranded with the stopped one.
    await Promise.all(open);
  });

  it('routes the answer to another inbox and resolves on the done message', async () => {
    echo();
    const inbox = clientLink.connection.subscribe('_INBOX.caller', { max: 1 });
    const answers: string[] = [];
    const reading = (async () => {
      for await (const msg of inbox) answers.push(msg.string());
    })();
    expect(await ask('there', 10_000, { answerTo: '_INBOX.caller' })).to.equal(undefined);
    await reading;
    expect(answers).to.deep.equal(['there']);
  });

  it('carries a typed error as the answer', async () => {
    const lane = pull((one, puller) => {
      puller.answer(
        one,
        new TroupeError('request.tensor_shape', 'inputs[0] "x": wrong\nshape', { retryAfterMs: 5 }),
      );
      lane.free(1);
    });
    const error = await refusal(ask('bad'));
    expect(error.reason).to.equal('request.tensor_shape');
    expect(error.message).to.equal('inputs[0] "x": wrong\nshape');
    expect(error.retryAfterMs).to.equal(5);
  });

  it('refuses a request that is larger than the server takes, naming both sizes', async () => {
    const error = await refusal(
      submitter.submit({
        model: 'echo',
        version: 1,
        message: { payload: new Uint8Array(9 * 1024 * 1024), jsonLength: undefined },
        requestId: 'big',
        deadlineMs: 1_000,
      }),
    );
    expect(error.reason).to.equal('request.too_large');
    expect(error.message)
      .to.contain(String(9 * 1024 * 1024))
      .and.contain(String(8 * 1024 * 1024));
  });

  it('rejects what is open when it is closed, and everything after', async () => {
    const open = refusal(ask('open'));
    submitter.close();
    expect((await open).reason).to.equal('client.closed');
    expect((await refusal(ask('after'))).reason).to.equal('client.closed');
  });

  it('withdraws what is open when it is closed, but not what somebody else awaits', async () => {
    const cancels: string[] = [];
    closers.push(subscribeCancels(runnerLink, 'echo', 1, ({ id }) => cancels.push(id)));
    const lane = pull(() => undefined);
    const open = [ask('mine'), ask('theirs', 10_000, { answerTo: '_INBOX.caller' })].map(refusal);
    await waitUntil('both are taken', () => lane.taken.length === 2);
    submitter.close();
    await Promise.all(open);
    await clientLink.connection.flush();
    await runnerLink.connection.flush();
    expect(cancels).to.deep.equal(['mine']);
  });

  it('takes large messages within the byte bound of its pulls, without losing its connection', async () => {
    let disconnects = 0;
    runnerLink.onDisconnect(() => {
      disconnects += 1;
    });
    const lane = pull((one, puller) => {
      puller.answer(one, message(String(one.payload.length)));
      lane.free(1);
    });
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) =>
        submitter.submit({
          model: 'echo',
          version: 1,
          message: { payload: new Uint8Array(1_000_000 + index), jsonLength: undefined },
          requestId: `big${index}`,
          deadlineMs: 20_000,
        }),
      ),
    );
    expect(answers.map((answer) => Number(decoder.decode(answer?.payload)))).to.deep.equal(
      Array.from({ length: 24 }, (_, index) => 1_000_000 + index),
    );
    expect(disconnects).to.equal(0);
  });
});

describe('a link to NATS', () => {
  it('says which address was tried where nothing listens', async () => {
    const error = await refusal(
      connectNats({ servers: 'nats://user:secret@127.0.0.1:1', namespace: 'troupe', name: 'x' }),
    );
    expect(error.reason).to.equal('nats.unreachable');
    expect(error.message).to.contain('127.0.0.1:1').and.not.contain('secret');
  });

  it('gives up on a server that accepts and says nothing', async () => {
    let open = 0;
    const mute = createServer((socket) => {
      open += 1;
      socket
        .on('error', () => undefined)
        .on('close', () => {
          open -= 1;
        });
      socket.resume();
    });
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as { port: number };
    const error = await refusal(
      connectNats({
        servers: `nats://127.0.0.1:${port}`,
        namespace: 'troupe',
        name: 'x',
        connectTimeoutMs: 300,
      }),
    );
    expect(error.reason).to.equal('nats.unreachable');
    await waitUntil('no socket to it is left open', () => open === 0);
    await new Promise((resolve) => mute.close(resolve));
  });

  it('takes user and password from the address, and tells wrong ones apart without showing them', async () => {
    const server = await startNats({ config: 'authorization { user: "ann", password: "p@ss" }' });
    try {
      const at = (credentials: string) => server.url.replace('//', `//${credentials}@`);
      const link = await connectNats({ servers: at('ann:p%40ss'), namespace: 'troupe', name: 'x' });
      await link.close();
      const error = await refusal(connectNats({ servers: at('ann:wrong'), namespace: 'troupe', name: 'x' }));
      expect(error.reason).to.equal('nats.unauthorized');
      expect(error.message).to.not.contain('wrong');
    } finally {
      await server.stop();
    }
  });

  it('tells a server without JetStream apart', async () => {
    const server = await startNats({ jetstream: false });
    try {
      const error = await refusal(connectNats({ servers: server.url, namespace: 'troupe', name: 'x' }));
      expect(error.reason).to.equal('nats.no_jetstream');
    } finally {
      await server.stop();
    }
  });

  it('closes within a bound though the server is frozen', async () => {
    const server = await startNats();
    const link = await connectNats({ servers: server.url, namespace: 'troupe', name: 'x' });
    server.freeze();
    try {
      await link.close();
    } finally {
      server.thaw();
      await server.stop();
    }
  });
});
