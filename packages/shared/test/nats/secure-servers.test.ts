/** Servers with credentials and TLS: what gets in, and what is said of what does not. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeError } from '@troupe/shared';
import { connectNats, createArtifactStore, type NatsOptions } from '@troupe/shared/nats';
import { connectRedis } from '@troupe/shared/redis';
import { expect } from 'chai';
import { type Certificates, createCertificates, hasOpenssl } from '../../../../test/harness/certificates.js';
import { createNatsCredentials } from '../../../../test/harness/nats-credentials.js';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { freePort } from '../../../../test/harness/ports.js';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { removeDirectory, startOnPort, temporaryDirectory } from '../../../../test/harness/server-process.js';

async function refusal(connecting: Promise<{ close(): Promise<void> }>): Promise<TroupeError> {
  let connection: { close(): Promise<void> };
  try {
    connection = await connecting;
  } catch (thrown) {
    expect((thrown as TroupeError).message).not.to.contain('secret');
    return thrown as TroupeError;
  }
  await connection.close();
  throw new Error('connected');
}

const nats = (options: Partial<NatsOptions> & { servers: string }) =>
  connectNats({ namespace: 'troupe', name: 'test', ...options });

describe('NATS credentials given apart from the address', () => {
  it('let in with a token, and are told apart where they are wrong', async () => {
    const server = await startNats({ config: 'authorization { token: "secret" }' });
    try {
      await (await nats({ servers: server.url, access: { token: 'secret' } })).close();
      const error = await refusal(nats({ servers: server.url, access: { token: 'secret2' } }));
      expect(error.reason).to.equal('nats.unauthorized');
    } finally {
      await server.stop();
    }
  });

  it('let in by a credentials file, which others have not', async () => {
    const dir = temporaryDirectory('creds');
    const { config, creds } = createNatsCredentials();
    const server = await startNats({ config });
    try {
      const credsFile = join(dir, 'user.creds');
      writeFileSync(credsFile, creds);
      await (await nats({ servers: server.url, access: { credsFile } })).close();
      writeFileSync(credsFile, createNatsCredentials().creds);
      expect((await refusal(nats({ servers: server.url, access: { credsFile } }))).reason).to.equal(
        'nats.unauthorized',
      );
      expect((await refusal(nats({ servers: server.url }))).reason).to.equal('nats.unauthorized');
    } finally {
      removeDirectory(dir);
      await server.stop();
    }
  });

  it('of a file that holds something else are refused by its name', async () => {
    const file = new URL('../../package.json', import.meta.url).pathname;
    for (const access of [{ credsFile: file }, { caFile: file }]) {
      const error = await refusal(nats({ servers: 'nats://127.0.0.1:1', access }));
      expect(error.reason).to.equal('config.invalid');
      expect(error.message).to.contain(file);
    }
  });

  it('of a file that is not there are refused by its name', async () => {
    for (const [access, env] of [
      [{ credsFile: '/nowhere/a.creds' }, 'NATS_CREDS'],
      [{ caFile: '/nowhere/ca.pem' }, 'NATS_CA'],
    ] as const) {
      const error = await refusal(nats({ servers: 'nats://127.0.0.1:1', access }));
      expect(error.reason).to.equal('config.invalid');
      expect(error.message).to.contain('/nowhere/').and.contain(env);
    }
  });

  it('are never sent in clear where a CA asks for TLS and the server has none', async () => {
    const dir = temporaryDirectory('ca');
    const server = await startNats();
    try {
      const caFile = join(dir, 'ca.pem');
      writeFileSync(caFile, '-----BEGIN CERTIFICATE-----\n'); // read, and never used
      const error = await refusal(nats({ servers: server.url, access: { caFile } }));
      expect(error.reason).to.equal('config.invalid');
      expect(error.message).to.contain('no TLS');
    } finally {
      removeDirectory(dir);
      await server.stop();
    }
  });
});

describe('an address of NATS that is none', () => {
  it('is refused at once, as it is no server that could still come', async () => {
    for (const servers of ['nats://ann:secret@here:99999', ',']) {
      expect((await refusal(nats({ servers }))).reason, servers).to.equal('config.invalid');
    }
  });
});

describe('servers with user, password and TLS', () => {
  let dir: string;
  let certificates: Certificates;
  let natsServer: NatsServer | undefined;
  let redisServer: RedisServer | undefined;
  let redisUrl: string;

  before(async function () {
    if (!hasOpenssl()) {
      console.error('SKIPPED: there is no openssl program, so nothing with TLS was tested');
      this.skip();
    }
    dir = temporaryDirectory('tls');
    certificates = createCertificates(dir);
    const { certFile, keyFile, caFile } = certificates;
    natsServer = await startNats({
      config: `authorization { user: "ann", password: "secret" }\ntls { cert_file: "${certFile}", key_file: "${keyFile}" }`,
    });
    redisServer = await startOnPort(undefined, freePort, (port) =>
      startRedis({
        args: [
          ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
          ...['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', caFile],
          ...['--user', 'ann', 'on', '>secret', '~*', '&*', '+@all'],
        ],
      }).then((server) => {
        redisUrl = `rediss://ann:secret@127.0.0.1:${port}/3`;
        return server;
      }),
    );
  });
  after(async () => {
    await Promise.all([natsServer?.stop(), redisServer?.stop()]);
    if (dir !== undefined) removeDirectory(dir);
  });

  it('NATS lets in who trusts its authority and knows the password, and artifacts come the same way', async () => {
    const { caFile } = certificates;
    const servers = (natsServer as NatsServer).url;
    const link = await nats({ servers, access: { user: 'ann', password: 'secret', caFile } });
    const artifacts = createArtifactStore(link);
    try {
      const bytes = randomBytes(300_000);
      const digest = createHash('sha256').update(bytes).digest('hex');
      await artifacts.put(digest, bytes);
      await artifacts.fetchTo(digest, join(dir, 'artifact'));
      expect(readFileSync(join(dir, 'artifact')).equals(bytes)).to.equal(true);
    } finally {
      await artifacts.close();
      await link.close();
    }
    const wrong = await refusal(nats({ servers, access: { user: 'ann', password: 'secret2', caFile } }));
    expect(wrong.reason).to.equal('nats.unauthorized');
  });

  it('NATS whose authority is not known is refused at once, with what to set', async () => {
    const servers = (natsServer as NatsServer).url;
    const error = await refusal(nats({ servers, access: { user: 'ann', password: 'secret' } }));
    expect(error.reason).to.equal('config.invalid');
    expect(error.message).to.contain('NATS_CA');
  });

  it('Redis by rediss:// lets in by user, password and authority, into the database of the address', async () => {
    const { caFile } = certificates;
    const connection = await connectRedis({ url: redisUrl, caFile, namespace: 'troupe' });
    expect(String(await connection.read('CLIENT', 'INFO'))).to.match(/ db=3 .*user=ann/);
    await connection.close();
    const unknown = await refusal(
      connectRedis({ url: redisUrl, namespace: 'troupe', connectTimeoutMs: 20_000 }),
    );
    expect(unknown.reason).to.equal('config.invalid');
    expect(unknown.message).to.contain('REDIS_CA');
  });

  it('a CA for a Redis without TLS is refused rather than passed over', async () => {
    const { caFile } = certificates;
    const error = await refusal(connectRedis({ url: 'redis://127.0.0.1:1', caFile, namespace: 'troupe' }));
    expect(error.reason).to.equal('config.invalid');
    expect(error.message).to.contain('rediss://');
  });
});
