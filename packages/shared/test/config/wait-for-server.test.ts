/** Waiting for a server at start: what is waited for, what is not, what is said, and how it ends. */
import { createLog, TroupeError, waitForServer } from '@troupe/shared';
import { expect } from 'chai';

const connection = { close: async () => undefined };

function collect() {
  const lines: string[] = [];
  const log = createLog('test', 'trace', { write: (line) => void lines.push(line) });
  return { log, said: () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg) };
}

const away = () => new TroupeError('nats.unreachable', 'no NATS server answered at nats://there:1');

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return (thrown as TroupeError).reason;
  }
  return 'none';
}

describe('waiting for a server', () => {
  it('tries again until it answers, and says at once and then rarely which address and what to do', async () => {
    const { log, said } = collect();
    let attempts = 0;
    const connect = async () => {
      attempts += 1;
      if (attempts < 3) throw away();
      return connection;
    };
    const { signal } = new AbortController();
    expect(await waitForServer(connect, { signal, log, advice: 'start it' })).to.equal(connection);
    expect(said()).to.deep.equal(['not ready, waiting: no NATS server answered at nats://there:1; start it']);
  });

  it('says it again after the interval', async () => {
    const { log, said } = collect();
    let attempts = 0;
    const connect = async () => {
      attempts += 1;
      if (attempts < 3) throw away();
      return connection;
    };
    const { signal } = new AbortController();
    await waitForServer(connect, { signal, log, advice: 'start it', sayEveryMs: 1 });
    expect(said()).to.have.length(2);
  });

  it('passes on at once what waiting does not mend', async () => {
    const { log, said } = collect();
    const { signal } = new AbortController();
    for (const reason of [
      'nats.unauthorized',
      'nats.no_jetstream',
      'redis.unauthorized',
      'redis.not_durable',
    ] as const) {
      const connect = () => Promise.reject(new TroupeError(reason, 'no'));
      expect(await reasonOf(waitForServer(connect, { signal, log, advice: '' }))).to.equal(reason);
    }
    expect(said()).to.deep.equal([]);
  });

  it('ends at the signal, and closes a connection that comes too late', async () => {
    const { log } = collect();
    const leaving = new AbortController();
    const waiting = waitForServer(() => Promise.reject(away()), {
      signal: leaving.signal,
      log,
      advice: '',
    });
    setImmediate(() => leaving.abort());
    expect(await reasonOf(waiting)).to.equal('client.closed');

    const second = new AbortController();
    let closed = 0;
    const late = waitForServer(
      async () => {
        second.abort();
        return {
          close: async () => {
            closed += 1;
          },
        };
      },
      { signal: second.signal, log, advice: '' },
    );
    expect(await reasonOf(late)).to.equal('client.closed');
    expect(closed).to.equal(1);
  });
});
