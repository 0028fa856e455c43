/** The coordinator as a process: readiness, start failures, usage, and SIGTERM. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../test/harness/nats-server.js';
import { freePort } from '../../../test/harness/ports.js';
import { type RedisServer, startRedis } from '../../../test/harness/redis-server.js';
import { waitUntil } from '../../../test/harness/wait-until.js';

const entry = fileURLToPath(new URL('../src/main.ts', import.meta.url));

interface Run {
  readonly pid: number;
  readonly stderr: () => string;
  readonly ready: () => string;
  readonly exit: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@troupe/source', entry, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, TROUPE_READY_FD: '3', ...env },
  });
  let [stderr, ready] = ['', ''];
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    ready += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return {
    pid: child.pid ?? 0,
    stderr: () => stderr,
    ready: () => ready,
    exit,
    kill: (signal) => child.kill(signal),
  };
}

describe('the coordinator process', () => {
  let nats: NatsServer;
  let redis: RedisServer;
  before(async () => {
    [nats, redis] = await Promise.all([startNats(), startRedis()]);
  });
  after(async () => {
    await Promise.all([nats.stop(), redis.stop()]);
  });

  it('says ready once it serves, and ends with 0 after SIGTERM', async () => {
    const one = run(['--name', 'c1'], { NATS_URL: nats.url, REDIS_URL: redis.url });
    try {
      await waitUntil('it is ready', () => one.ready() === 'ready\n', { timeoutMs: 20_000 });
      one.kill('SIGTERM');
      expect(await one.exit, one.stderr()).to.equal(0);
    } finally {
      one.kill('SIGKILL');
    }
  });

  it('says in one line what is wrong where a server is missing, and ends with 1', async () => {
    const port = await freePort();
    const one = run(['--nats', `nats://127.0.0.1:${port}`, '--redis', redis.url], {
      TROUPE_LOG_LEVEL: 'silent',
    });
    expect(await one.exit).to.equal(1);
    expect(one.stderr()).to.match(/^troupe: [^\n]*no NATS server answered[^\n]*\n$/);
    const two = run(['--nats', nats.url, '--redis', `redis://127.0.0.1:${port}`], {
      TROUPE_LOG_LEVEL: 'silent',
    });
    expect(await two.exit).to.equal(1);
    expect(two.stderr()).to.match(/^troupe: [^\n]*Redis[^\n]*\n$/);
  });

  it('ends with 2 after wrong usage, and with 1 after a wrong setting', async () => {
    const one = run(['--nmae', 'x']);
    expect(await one.exit).to.equal(2);
    expect(one.stderr()).to.contain('--nmae');
    const two = run([], { TROUPE_ROUTE_GRACE_MS: 'soon' });
    expect(await two.exit).to.equal(1);
    expect(two.stderr()).to.match(/^troupe: TROUPE_ROUTE_GRACE_MS="soon"/);
  });
});
