/** Clusters on servers of a team's own: two beside each other, and one behind user, password and TLS. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import { connectNats } from '@troupe/shared/nats';
import { expect } from 'chai';
import { createCertificates, hasOpenssl } from '../harness/certificates.js';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { startIrisLoad, summarize } from '../harness/iris-load.js';
import { registerIris } from '../harness/iris-model.js';
import { type NatsServer, startNats } from '../harness/nats-server.js';
import { freePort } from '../harness/ports.js';
import { type RedisServer, startRedis } from '../harness/redis-server.js';
import { removeDirectory, startOnPort, temporaryDirectory } from '../harness/server-process.js';
import { waitUntil } from '../harness/wait-until.js';

const flower = new Float32Array([5.1, 3.5, 1.4, 0.2]);

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return (thrown as { reason: string }).reason;
  }
  return 'none';
}

describe('two namespaces on the same servers', function () {
  this.timeout(90_000);
  let nats: NatsServer;
  let redis: RedisServer;
  let staging: TestCluster | undefined;
  let production: TestCluster | undefined;

  before(async () => {
    [nats, redis] = await Promise.all([startNats(), startRedis()]);
    const options = { nats, redis, devices: 'cpu:0' };
    staging = await startCluster({ ...options, namespace: 'staging' });
    production = await startCluster({ ...options, namespace: 'production' });
  });
  after(async () => {
    await staging?.stop();
    await production?.stop();
    await Promise.all([nats.stop(), redis.stop()]);
  });
  afterEach(printLogsOnFailure(() => staging));

  it('stay apart: models, answers, deletions, slots and events of one are nothing to the other', async () => {
    const one = await (staging as TestCluster).connect();
    const other = await (production as TestCluster).connect();
    await registerIris(one, 1);
    expect((await one.infer('iris', flower)).model).to.equal('iris');
    expect(await other.models()).to.deep.equal([]);
    expect(await reasonOf(other.infer('iris', flower))).to.equal('model.unknown');

    await registerIris(other, 1);
    await one.deleteModel('iris');
    await waitUntil(
      'the one has it no more',
      async () => (await reasonOf(one.infer('iris', flower))) === 'model.unknown',
    );
    expect((await other.infer('iris', flower)).model).to.equal('iris');

    // Both hosts are called host-1, and each cluster has its own.
    await one.scale('host-1', 3);
    await waitUntil('the host has three slots', async () => (await one.hosts())[0]?.slots === 3);
    expect((await other.hosts()).map(({ host, slots }) => [host, slots])).to.deep.equal([['host-1', 8]]);
    expect((await other.recentEvents(1_000)).filter(({ kind }) => kind === 'host.scaled')).to.deep.equal([]);
  });

  it('a cluster that loses its coordinator and host leaves the other one alone', async () => {
    const one = staging as TestCluster;
    const client = await (production as TestCluster).connect();
    const load = await startIrisLoad(client, { inFlight: 4 });
    await Promise.all([one.coordinators[0]?.kill(), one.hosts[0]?.kill()]);
    await waitUntil('a hundred more are answered', () => load.results.length >= 100);
    const { wrong, errors } = summarize(await load.stop());
    expect({ wrong, errors }).to.deep.equal({ wrong: 0, errors: [] });
  });
});

describe('a cluster on servers with user, password and TLS', function () {
  this.timeout(120_000);
  let dir: string | undefined;
  let nats: NatsServer | undefined;
  let redis: RedisServer | undefined;
  let cluster: TestCluster | undefined;
  let client: TroupeClient;
  let access: { readonly user: string; readonly pass: string; readonly caFile: string };

  before(async function () {
    if (!hasOpenssl()) {
      console.error('SKIPPED: there is no openssl program, so no cluster with TLS was tested');
      this.skip();
    }
    dir = temporaryDirectory('own-servers');
    mkdirSync(join(dir, 'tls'));
    const { caFile, certFile, keyFile } = createCertificates(join(dir, 'tls'));
    access = { user: 'ann', pass: 'of-the-servers', caFile };
    nats = await startNats({
      config: `authorization { user: "ann", password: "of-the-servers" }
tls { cert_file: "${certFile}", key_file: "${keyFile}" }`,
    });
    let redisPort = 0;
    redis = await startOnPort(undefined, freePort, (port) => {
      redisPort = port;
      return startRedis({
        args: [
          ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
          ...['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', caFile],
          ...['--requirepass', 'of-the-servers'],
        ],
      });
    });
    cluster = await startCluster({
      nats,
      redis,
      hosts: 0,
      coordinators: 2,
      devices: 'cpu:0',
      env: {
        NATS_USER: 'ann',
        NATS_PASSWORD: 'of-the-servers',
        NATS_CA: caFile,
        REDIS_URL: `rediss://:of-the-servers@127.0.0.1:${redisPort}/2`,
        REDIS_CA: caFile,
      },
    });
    await cluster.startHost();
    await cluster.startHost();
    client = await cluster.connect(access);
  });
  after(async () => {
    await cluster?.stop();
    await Promise.all([nats?.stop(), redis?.stop()]);
    if (dir !== undefined) removeDirectory(dir);
  });
  afterEach(printLogsOnFailure(() => cluster));

  it('serves models, and its callers see nothing of a coordinator and a host that are killed', async () => {
    const { coordinators, hosts } = cluster as TestCluster;
    await waitUntil('both hosts have their lease', async () => (await client.hosts()).length === 2);
    await registerIris(client, 2);
    const servedBy = async () =>
      new Set((await client.workers()).filter(({ state }) => state === 'serving').map(({ host }) => host));
    await waitUntil('both hosts serve it', async () => (await servedBy()).size === 2);
    const load = await startIrisLoad(client, { inFlight: 8 });
    const more = async (count: number) => {
      const until = load.results.length + count;
      await waitUntil('it goes on', () => load.results.length >= until);
    };
    await more(50);
    await coordinators[0]?.kill();
    await more(50);
    await hosts[0]?.kill();
    await more(50);
    const { wrong, errors } = summarize(await load.stop());
    expect({ wrong, errors }).to.deep.equal({ wrong: 0, errors: [] });
  });

  it('turns away who does not know the password, and who does not trust its authority', async () => {
    const servers = (nats as NatsServer).url;
    const options = { servers, namespace: 'troupe', name: 'stranger' };
    const { caFile } = access;
    expect(
      await reasonOf(connectNats({ ...options, access: { user: 'ann', password: 'guess', caFile } })),
    ).to.equal('nats.unauthorized');
    expect(
      await reasonOf((cluster as TestCluster).connect({ user: 'ann', pass: 'of-the-servers' })),
    ).to.equal('config.invalid');
  });

  it('logs no password', () => {
    expect((cluster as TestCluster).logs()).not.to.contain('of-the-servers');
  });
});
