/** What `connectRedis` refuses, with which words, and that it leaves nothing open. */
import { createServer } from 'node:net';
import { createLog, TroupeError } from '@troupe/shared';
import { type ConnectRedisOptions, connectRedis } from '@troupe/shared/redis';
import { expect } from 'chai';
import { freePort } from '../../../../test/harness/ports.js';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const password = 'geheim&p@ss/1';
const encoded = encodeURIComponent(password);

async function refusal(options: Partial<ConnectRedisOptions> & { url: string }): Promise<TroupeError> {
  const lines: string[] = [];
  const log = createLog('test', 'trace', { write: (line) => void lines.push(line) });
  try {
    const connection = await connectRedis({ namespace: 'troupe', connectTimeoutMs: 2_000, log, ...options });
    await connection.close();
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown;
    const causes: string[] = [];
    for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
      causes.push(error.message, error.stack ?? '', JSON.stringify(Object.entries(error)));
    }
    for (const text of [...causes, ...lines])
      expect(text).not.to.contain(password).and.not.to.contain(encoded);
    return thrown;
  }
  throw new Error('connected');
}

const openSockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

describe('connecting to Redis', () => {
  const servers: RedisServer[] = [];
  async function start(...args: Parameters<typeof startRedis>): Promise<RedisServer> {
    const server = await startRedis(...args);
    servers.push(server);
    return server;
  }
  let socketsBefore = 0;
  beforeEach(() => {
    socketsBefore = openSockets();
  });
  afterEach(async () => {
    await waitUntil('no socket is left open', () => openSockets() <= socketsBefore);
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  it('refuses a URL that is none, without repeating it', async () => {
    for (const url of [
      '',
      'localhost:6379',
      `http://:${encoded}@127.0.0.1`,
      `redis://:${encoded}@`,
      `redis://:${encoded}@h:99999`,
      `redis://:${encoded}@h/not-a-number`,
      `redis://:%zz${encoded}@h`,
    ]) {
      const error = await refusal({ url });
      expect(error.reason, url).to.equal('config.invalid');
      expect(error.message).to.contain('REDIS_URL');
    }
  });

  it('names the address, and not the password, where nothing answers', async () => {
    const port = await freePort();
    const error = await refusal({ url: `redis://:${encoded}@127.0.0.1:${port}/2`, connectTimeoutMs: 200 });
    expect(error.reason).to.equal('redis.unreachable');
    expect(error.message).to.contain(`redis://127.0.0.1:${port}/2`).and.to.contain('ECONNREFUSED');
  });

  it('gives up on a server that takes connections and says nothing', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const error = await refusal({
      url: `redis://127.0.0.1:${port}`,
      connectTimeoutMs: 300,
      commandTimeoutMs: 100,
    });
    expect(error.reason).to.equal('redis.unreachable');
    await new Promise<void>((resolve) => {
      silent.close(() => resolve());
    });
  });

  it('waits for a server that starts a little later', async () => {
    const port = await freePort();
    const connecting = connectRedis({ url: `redis://127.0.0.1:${port}`, namespace: 'troupe' });
    await start({ port });
    const connection = await connecting;
    expect(connection.connected).to.equal(true);
    expect(connection.address).to.equal(`redis://127.0.0.1:${port}`);
    await connection.close();
    expect(connection.connected).to.equal(false);
  });

  it('tells a wrong or missing password at once, as unauthorized', async () => {
    const server = await start({ args: ['--requirepass', password] });
    for (const login of ['', ':wrong@', `:${encoded}x@`, `nobody:${encoded}@`]) {
      const error = await refusal({
        url: `redis://${login}127.0.0.1:${server.port}`,
        connectTimeoutMs: 20_000,
      });
      expect(error.reason, login).to.equal('redis.unauthorized');
      expect(error.message).to.contain(`127.0.0.1:${server.port}`);
    }
    const connection = await connectRedis({
      url: `redis://:${encoded}@127.0.0.1:${server.port}`,
      namespace: 'troupe',
    });
    await connection.close();
  });

  it('keeps the password out of an answer in which Redis repeats it', async () => {
    const server = await start({ args: ['--rename-command', 'AUTH', ''] });
    const error = await refusal({
      url: `redis://:${encoded}@127.0.0.1:${server.port}`,
      connectTimeoutMs: 300,
    });
    expect(error.message).to.contain('[redacted]');
  });

  it('refuses a server that keeps no append-only file, and says which line to change', async () => {
    const server = await start({ appendonly: false });
    const error = await refusal({ url: server.url });
    expect(error.reason).to.equal('redis.not_durable');
    expect(error.message).to.contain('appendonly yes').and.to.contain('redis-cli config set appendonly yes');
  });

  it('asks INFO about the append-only file where CONFIG is hidden', async () => {
    const hidden = ['--rename-command', 'CONFIG', ''];
    const durable = await start({ args: hidden });
    await (await connectRedis({ url: durable.url, namespace: 'troupe' })).close();
    const forgetful = await start({ appendonly: false, args: hidden });
    expect((await refusal({ url: forgetful.url })).reason).to.equal('redis.not_durable');
  });

  it('asks INFO about the append-only file where the user may not ask CONFIG', async () => {
    const server = await start({
      args: ['--user', 'app', 'on', `>${password}`, '~*', '&*', '+@all', '-config'],
    });
    const url = `redis://app:${encoded}@127.0.0.1:${server.port}`;
    await (await connectRedis({ url, namespace: 'troupe' })).close();
  });

  it('refuses a server older than 7.0, by its version', async () => {
    const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;
    const old = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        for (const [, command] of chunk.toString().matchAll(/\$\d+\r\n(info|client|time|quit)\r\n/gi)) {
          const name = command?.toLowerCase();
          if (name === 'info') socket.write(bulk('# Server\r\nredis_version:6.2.14\r\n'));
          else if (name === 'time') socket.write(`*2\r\n${bulk('1700000000')}${bulk('0')}`);
          else socket.write('+OK\r\n');
          if (name === 'quit') socket.end();
        }
      });
    });
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
    const address = old.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const error = await refusal({ url: `redis://127.0.0.1:${port}` });
    expect(error.reason).to.equal('config.invalid');
    expect(error.message).to.contain('6.2.14').and.to.contain('7.0');
    await new Promise<void>((resolve) => {
      old.close(() => resolve());
    });
  });

  it('refuses a namespace or a command timeout that cannot be', async () => {
    expect((await refusal({ url: 'redis://h', namespace: 'No' })).reason).to.equal('config.invalid');
    for (const commandTimeoutMs of [0, -1, 1.5, Number.NaN]) {
      expect((await refusal({ url: 'redis://h', commandTimeoutMs })).reason).to.equal('config.invalid');
    }
  });
});
