/** The rehearsal against a real NATS server, with a stand-in for the session. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { TroupeError } from '@troupe/shared';
import { connectNats, listWorkStreams, type NatsLink } from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { type RehearsalOptions, rehearse } from '../../src/runner/rehearsal.js';

type Session = RehearsalOptions['session'];

const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as never;
const row = { datatype: 'FP32', shape: [-1, 4] } as const;

describe('rehearsal', function () {
  this.timeout(30_000);
  let nats: NatsServer;
  let link: NatsLink;
  let other: NatsLink;
  let runs: number[];

  before(async () => {
    nats = await startNats();
  });
  after(() => nats.stop());
  beforeEach(async () => {
    const namespace = `t${randomUUID().slice(0, 8)}`;
    link = await connectNats({ servers: nats.url, name: 'runner', namespace });
    other = await connectNats({ servers: nats.url, name: 'test', namespace });
    runs = [];
  });
  afterEach(async () => {
    await link.close();
    await other.close();
  });

  /** Gives back what it gets. */
  function identity(runMs: number): Session {
    return {
      run: async ([input]) => {
        if (input === undefined) throw new Error('no input');
        runs.push(input.shape[0] ?? 0);
        return { kind: 'ran', outputs: [{ ...input, name: 'output' }], runMs };
      },
      get ranMs() {
        return runs.length * runMs;
      },
    };
  }

  function options(changes: Partial<RehearsalOptions> = {}): RehearsalOptions {
    const signature = { inputs: [{ name: 'input', ...row }], outputs: [{ name: 'output', ...row }] };
    const batching = { maxBatchSize: 32, maxDelayMs: 0 };
    return {
      link,
      session: identity(0.01),
      served: {
        model: 'm',
        version: {
          version: 1,
          digest: '0'.repeat(64),
          sizeBytes: 1,
          signature,
          batchable: true,
          batching,
          limits: {},
          golden: [],
          registeredAt: new Date(0).toISOString(),
        },
        signature,
        batching,
        suspects: new Set(),
      },
      limits: { ackWaitMs: 2_000, queueLimit: 1_000, streamBytes: 1024 * 1024 },
      rowMs: 1,
      log: silent,
      mayGoOn: () => true,
      ...changes,
    };
  }

  it('has thousands of requests go over the broker and through the session, in batches, and be acked', async () => {
    let acks = 0;
    const watching = other.connection.subscribe('$JS.ACK.*.*.>', {
      callback: () => {
        acks += 1;
      },
    });
    await other.connection.flush();
    const answered = await rehearse(options());
    expect(answered).to.be.at.least(4_000);
    const ran = runs.reduce((sum, rows) => sum + rows, 0);
    expect(ran).to.be.within(answered, answered + 64);
    expect(Math.max(...runs)).to.be.within(2, 32);
    await link.connection.flush();
    await other.connection.flush();
    expect(acks).to.be.at.least(answered);
    watching.unsubscribe();
  });

  it('leaves nothing behind: no stream, no subscription', async () => {
    let inbox = '';
    const listening = other.connection.subscribe('_INBOX.*.pull', {
      callback: (_, { subject }) => {
        inbox = subject;
      },
    });
    await other.connection.flush();
    expect(await rehearse(options())).to.be.at.least(4_000);
    listening.unsubscribe();
    await link.connection.flush();
    const refused = await other.connection.request(inbox).catch((error: unknown) => error);
    expect(refused).to.include({ code: '503' }); // nobody listens
    expect(await listWorkStreams(other)).to.deep.equal([]);
  });

  it('takes no more than its share of the device', async () => {
    const { run } = identity(50);
    const session: Session = {
      get ranMs() {
        return runs.length * 50;
      },
      run: async (...what) => {
        await pause(50);
        return run(...what);
      },
    };
    expect(await rehearse(options({ session }))).to.be.at.least(4);
    expect(runs.length).to.be.within(4, 8);
  });

  it('does not begin where runs take long, made-up inputs are refused, or there is no time', async () => {
    expect(await rehearse(options({ rowMs: 500 }))).to.equal(0);
    expect(await rehearse(options({ rowMs: undefined }))).to.equal(0);
    expect(await rehearse(options({ mayGoOn: () => false }))).to.equal(0);
    expect(runs).to.deep.equal([]);
  });

  it('ends with the first failure', async () => {
    const error = new TroupeError('model.run_failed', 'no');
    const session: Session = {
      ranMs: 0,
      run: async () => {
        runs.push(1);
        return { kind: 'failed', error };
      },
    };
    expect(await rehearse(options({ session }))).to.equal(0);
    expect(runs.length).to.be.within(1, 1_000);
  });

  it('ends where an answer does not come', async () => {
    const session: Session = { ranMs: 0, run: () => new Promise(() => undefined) };
    expect(await rehearse(options({ session }))).to.equal(0);
  });

  it('ends where the connection is closed meanwhile', async () => {
    const { run } = identity(0.01);
    const session: Session = {
      ranMs: 0,
      run: async (...what) => {
        if (runs.length === 20) await link.close();
        return run(...what);
      },
    };
    await rehearse(options({ session }));
    expect(runs.length).to.be.within(20, 25);
  });
});
