/** The coordinator as a process: readiness, start failures, usage, and SIGTERM. */
import { spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { builtEntry } from '../../../test/harness/built.js';
import { type NatsServer, startNats } from '../../../test/harness/nats-server.js';
import { freePort } from '../../../test/harness/ports.js';
import { type RedisServer, startRedis } from '../../../test/harness/redis-server.js';
import { waitUntil } from '../../../test/harness/wait-until.js';

const entry = fileURLToPath(builtEntry(new URL('../src/main.ts', import.meta.url)));

interface Run {
  readonly pid: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ready: () => string;
  readonly exit: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const child = spawn(process.execPath, [entry, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, TROUPE_READY_FD: '3', ...env },
  });
  let [stdout, stderr, ready] = ['', '', ''];
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    ready += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
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

  it('waits for servers that are not there yet, says which, and is ready once they came', async () => {
    const [natsPort, redisPort] = [await freePort(), await freePort()];
    const late: { stop(): Promise<void> }[] = [];
    const one = run(['--nats', `nats://127.0.0.1:${natsPort}`, '--redis', `redis://127.0.0.1:${redisPort}`]);
    try {
      await waitUntil('it says what it waits for', () => one.stderr().includes('not ready, waiting'), {
        timeoutMs: 20_000,
      });
      expect(one.stderr()).to.match(
        /"msg":"not ready, waiting: no NATS server answered at nats:[^"]*--nats, NATS_URL/,
      );
      late.push(await startNats({ port: natsPort }));
      await waitUntil('it waits for Redis', () => /"msg":"not ready, waiting: Redis/.test(one.stderr()), {
        timeoutMs: 20_000,
      });
      expect(one.ready()).to.equal('');
      late.push(await startRedis({ port: redisPort }));
      await waitUntil('it is ready', () => one.ready() === 'ready\n', { timeoutMs: 20_000 });
    } finally {
      one.kill('SIGKILL');
      await one.exit;
      await Promise.all(late.map((server) => server.stop()));
    }
  });

  it('ends with 0 after SIGTERM while it waits for a server that takes connections and says nothing', async () => {
    const mute = createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as AddressInfo;
    for (const args of [
      ['--nats', `nats://127.0.0.1:${port}`, '--redis', redis.url],
      ['--nats', nats.url, '--redis', `redis://127.0.0.1:${port}`],
    ]) {
      const met = new Promise((resolve) => mute.once('connection', resolve));
      const one = run(args);
      try {
        await met;
        one.kill('SIGTERM');
        expect(await one.exit, one.stderr()).to.equal(0);
        expect(one.ready()).to.equal('');
      } finally {
        one.kill('SIGKILL');
      }
    }
    await new Promise((resolve) => mute.close(resolve));
  });

  it('ends at once with 1 and one line where waiting would not help: credentials, no JetStream, no append-only file', async () => {
    const [closedNats, plainNats, closedRedis, plainRedis] = await Promise.all([
      startNats({ config: 'authorization { user: "ann", password: "secret" }' }),
      startNats({ jetstream: false }),
      startRedis({ args: ['--requirepass', 'secret'] }),
      startRedis({ appendonly: false }),
    ]);
    try {
      for (const [natsUrl, redisUrl, said] of [
        [closedNats.url, redis.url, 'refused the credentials'],
        [plainNats.url, redis.url, 'no JetStream'],
        [nats.url, closedRedis.url, 'refused our credentials'],
        [nats.url, plainRedis.url, 'append-only'],
      ] as const) {
        const one = run(['--nats', natsUrl, '--redis', redisUrl], { TROUPE_LOG_LEVEL: 'silent' });
        expect(await one.exit).to.equal(1);
        expect(one.stderr()).to.match(new RegExp(`^troupe: [^\\n]*${said}[^\\n]*\\n$`));
      }
    } finally {
      await Promise.all([closedNats, plainNats, closedRedis, plainRedis].map((server) => server.stop()));
    }
  });

  it('prints its settings with their origins where it is asked to, and ends with 0', async () => {
    const one = run(['--print-config', '--nats', 'nats://flag:1'], {
      REDIS_URL: 'redis://:hidden@environment:1',
      TROUPE_NAMESPACE: 'staging',
    });
    expect(await one.exit, one.stderr()).to.equal(0);
    expect(one.stdout()).to.contain('natsUrl = nats://flag:1  (flag --nats)\n');
    expect(one.stdout()).to.contain('redisUrl = redis://********@environment:1  (environment REDIS_URL)\n');
    expect(one.stdout()).to.contain('namespace = staging  (environment TROUPE_NAMESPACE)\n');
    expect(one.ready()).to.equal('');
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
