import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { sendSignal } from '../../deploy/local/processes.mjs';
import { startNats } from '../harness/nats-server.js';
import { startRedis } from '../harness/redis-server.js';
import { waitUntil } from '../harness/wait-until.js';
import { declareEnds, declareGuardEnds, type EndsContext } from './ends.js';
import { launchCluster } from './launched.js';
import { createStandInClone, type StandInClone } from './stand-in-clone.js';

describe('the launcher, on stand-ins for coordinator and host', function () {
  this.timeout(180_000);
  let clone: StandInClone;
  beforeEach(() => {
    clone = createStandInClone();
  });
  afterEach(() => clone.remove());

  const drained = ['host drained with the servers up', 'coordinator drained with the servers up'];
  const context: EndsContext = {
    root: () => clone.root,
    readyMs: 60_000,
    endMs: 60_000,
    after() {
      // In this order, each before the servers ended, and untouched by the terminal's own signal.
      expect(clone.notes().filter((note) => !note.includes(' up as '))).to.deep.equal(drained);
      expect(existsSync(join(clone.root, '.troupe/cluster.json'))).to.equal(false);
      expect(existsSync(join(clone.root, '.troupe/cluster.lock'))).to.equal(false);
    },
  };

  describe('leaves no process behind, and drains before the servers end', () => {
    declareEnds(context);
    declareGuardEnds({ ...context });
  });

  it('a second Ctrl-C a second later ends at once', async () => {
    const launched = await launchCluster({ cwd: clone.root, terminal: true });
    try {
      const host = pidOf(clone, 'host');
      sendSignal(host, 'SIGSTOP'); // it never drains
      launched.child.stdin?.write('\x03');
      await waitUntil('the second one counts', () => {
        launched.child.stdin?.write('\x03');
        return launched.output().includes('Asked again');
      });
      await launched.expectNothingLeft(20_000); // of the 30 s that its host has to drain
    } finally {
      await launched.destroy();
    }
  });

  it('given NATS_URL and REDIS_URL, it uses those servers, and leaves them as they are', async () => {
    const [nats, redis] = await Promise.all([startNats(), startRedis()]);
    try {
      const launched = await launchCluster({
        cwd: clone.root,
        env: { NATS_URL: nats.url, REDIS_URL: redis.url, TROUPE_NAMESPACE: 'staging' },
      });
      try {
        const file = JSON.parse(readFileSync(join(clone.root, '.troupe/cluster.json'), 'utf8'));
        expect(file).to.deep.equal({
          nats: nats.url,
          redis: redis.url,
          namespace: 'staging',
          pid: launched.launcher.pid,
        });
        expect(existsSync(join(clone.root, '.troupe/data/nats'))).to.equal(false);
        sendSignal(launched.npm.pid, 'SIGTERM');
        await launched.expectNothingLeft(context.endMs);
        expect(clone.notes()).to.include.members(drained);
      } finally {
        await launched.destroy();
      }
    } finally {
      await Promise.all([nats.stop(), redis.stop()]);
    }
  });

  it('a reader of the output that goes away ends nothing', async () => {
    const launched = await launchCluster({ cwd: clone.root });
    try {
      launched.child.stdout?.destroy();
      launched.child.stderr?.destroy();
      sendSignal(pidOf(clone, 'host'), 'SIGKILL'); // which the launcher tells
      await waitUntil(
        'the host is back',
        () => clone.notes().filter((note) => note.startsWith('host up')).length > 1,
      );
      sendSignal(launched.npm.pid, 'SIGTERM');
      expect(await launched.exitCode).to.equal(0);
      await launched.expectNothingLeft(context.endMs);
    } finally {
      await launched.destroy();
    }
  });

  it('a host, a coordinator and a server that die unasked are started again, and it says so', async () => {
    const launched = await launchCluster({ cwd: clone.root });
    try {
      for (const name of ['host', 'coordinator']) {
        sendSignal(pidOf(clone, name), 'SIGKILL');
        await waitUntil(`${name} is back`, () => launched.errors().includes(`${name} is back`));
      }
      expect(launched.errors()).to.include('host has ended unasked (SIGKILL): starting it again in 0.5 s');
      const log = readFileSync(join(clone.root, '.troupe/logs/nats.log'), 'utf8');
      sendSignal(Number(/^\[(\d+)\]/.exec(log)?.[1]), 'SIGKILL');
      await waitUntil('NATS is back', () => launched.errors().includes('NATS is back'));
      sendSignal(launched.npm.pid, 'SIGTERM');
      expect(await launched.exitCode).to.equal(0);
      await launched.expectNothingLeft(context.endMs);
    } finally {
      await launched.destroy();
    }
  });

  it('a second start in the same clone says in one line that one is running, and where', async () => {
    const launched = await launchCluster({ cwd: clone.root });
    try {
      const { nats, redis } = JSON.parse(readFileSync(join(clone.root, '.troupe/cluster.json'), 'utf8'));
      const second = launchCluster({ cwd: clone.root });
      await second.then(
        () => expect.fail('the second start came up'),
        (error: Error) =>
          expect(error.message).to.include(
            `troupe: already running in this clone: process ${launched.launcher.pid}, ${nats}, ${redis}\n`,
          ),
      );
      sendSignal(launched.npm.pid, 'SIGTERM');
      await launched.expectNothingLeft(context.endMs);
    } finally {
      await launched.destroy();
    }
  });

  it('an end in the middle of the start leaves nothing behind either', async () => {
    const launched = launchCluster({ cwd: clone.root, env: { STAND_IN_UNREADY: 'coordinator' } });
    const failed = launched.then(
      () => expect.fail('it came up'),
      (error: Error) => error,
    );
    const lock = await waitUntil('the coordinator is starting', () => {
      pidOf(clone, 'coordinator');
      return JSON.parse(readFileSync(join(clone.root, '.troupe/cluster.lock'), 'utf8')) as {
        pid: number;
        runId: string;
      };
    });
    const { findByRunId, isAlive } = await import('../../deploy/local/processes.mjs');
    sendSignal(lock.pid, 'SIGTERM');
    await waitUntil(
      'nothing is left',
      () => findByRunId(lock.runId).length === 0 && !isAlive({ pid: lock.pid, startedAt: undefined }),
      { timeoutMs: 30_000 },
    );
    await failed;
  });

  it('says what a process says that does not start', async () => {
    const launched = launchCluster({ cwd: clone.root, env: { STAND_IN_BROKEN: 'host' } });
    await launched.then(
      () => expect.fail('it came up'),
      (error: Error) =>
        expect(error.message).to.include('troupe: host did not start: the cupboard is bare\n'),
    );
  });
});

/** Pid of the latest process of that name. */
function pidOf(clone: StandInClone, name: string): number {
  const note = clone
    .notes()
    .filter((line) => line.startsWith(`${name} up as `))
    .at(-1);
  if (note === undefined) throw new Error(`${name} has not noted its pid`);
  return Number(note.split(' ').at(-1));
}
