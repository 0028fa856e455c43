/** The start of a host process whose servers are not there yet, or never will do. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EnvName } from '@troupe/shared';
import { expect } from 'chai';
import { builtEntry } from '../../../../test/harness/built.js';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { freePort } from '../../../../test/harness/ports.js';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const entry = fileURLToPath(builtEntry(new URL('../../src/host/main.ts', import.meta.url)));

function run(natsUrl: string, redisUrl: string, dir: string) {
  const child = spawn(process.execPath, [entry, '--name=h', `--data=${dir}`], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      [EnvName.NatsUrl]: natsUrl,
      [EnvName.RedisUrl]: redisUrl,
      [EnvName.ReadyFd]: '3',
    },
  });
  const heard = { stderr: '', ready: '' };
  child.stderr?.on('data', (chunk: Buffer) => {
    heard.stderr += chunk.toString();
  });
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    heard.ready += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, heard, exit };
}

describe('the start of a host process', () => {
  let nats: NatsServer;
  let redis: RedisServer;
  let dir: string;
  before(async () => {
    dir = temporaryDirectory('host-start');
    [nats, redis] = await Promise.all([startNats(), startRedis()]);
  });
  after(async () => {
    await Promise.all([nats.stop(), redis.stop()]);
    removeDirectory(dir);
  });

  it('waits for a server that is not there yet, is not ready meanwhile, and starts when it comes', async () => {
    const port = await freePort();
    const { child, heard, exit } = run(nats.url, `redis://127.0.0.1:${port}`, dir);
    let late: RedisServer | undefined;
    try {
      await waitUntil('it waits', () =>
        expect(heard.stderr).to.match(/"msg":"not ready, waiting: Redis at [^"]*--redis, REDIS_URL/),
      );
      expect(heard.ready).to.equal('');
      late = await startRedis({ port });
      await waitUntil('it is ready', () => heard.ready === 'ready\n');
    } finally {
      child.kill('SIGKILL');
      await exit;
      await late?.stop();
    }
  });

  it('ends with 0 after SIGTERM while it waits', async () => {
    const { child, heard, exit } = run(`nats://127.0.0.1:${await freePort()}`, redis.url, dir);
    try {
      await waitUntil('it waits', () => expect(heard.stderr).to.include('not ready, waiting: no NATS'));
      child.kill('SIGTERM');
      expect(await exit, heard.stderr).to.equal(0);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('ends at once with 1 and one line where Redis keeps no append-only file', async () => {
    const forgetful = await startRedis({ appendonly: false });
    const { child, heard, exit } = run(nats.url, forgetful.url, dir);
    try {
      expect(await exit).to.equal(1);
      expect(heard.stderr).to.match(/\ntroupe: [^\n]*appendonly yes[^\n]*\n$|^troupe: [^\n]*appendonly yes/);
    } finally {
      child.kill('SIGKILL');
      await forgetful.stop();
    }
  });
});
