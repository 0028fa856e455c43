/** What docs/permissions.md grants is enough for a whole cluster, and the doctor names what is missing from it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import type { Finding } from '@troupe/shared';
import { connectRedis } from '@troupe/shared/redis';
import { expect } from 'chai';
import { codeBlocks } from '../docs/code-blocks.js';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { registerIris } from '../harness/iris-model.js';
import { type NatsServer, startNats } from '../harness/nats-server.js';
import { type RedisServer, startRedis } from '../harness/redis-server.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { waitUntil } from '../harness/wait-until.js';

const flower = new Float32Array([5.1, 3.5, 1.4, 0.2]);
const blocks = codeBlocks(readFileSync(join(repositoryRoot, 'docs/permissions.md'), 'utf8'));
const blockOf = (language: string) => blocks.find((block) => block.language === language)?.code ?? '';
const natsUsers = blockOf('conf');
const redisUser = blockOf('redis').trim();

interface Secured {
  readonly nats: NatsServer;
  readonly redis: RedisServer;
  readonly cluster: TestCluster;
  stop(): Promise<void>;
}

/** A cluster whose coordinator and host have the users of the page, or what `alter` makes of them. */
async function startSecured(
  alter: { nats?: (config: string) => string; redis?: (line: string) => string } = {},
): Promise<Secured> {
  const nats = await startNats({ config: (alter.nats ?? String)(natsUsers) });
  // The test's own ways in stay open: the default user is that of the harness.
  const [, , name = '', ...rules] = (alter.redis ?? String)(redisUser).split(' ');
  const redis = await startRedis({ args: ['--user', name, ...rules] });
  let cluster: TestCluster | undefined;
  const stop = async () => {
    await cluster?.stop();
    await Promise.all([nats.stop(), redis.stop()]);
  };
  try {
    const redisUrl = `redis://troupe:r-secret@127.0.0.1:${redis.port}`;
    cluster = await startCluster({
      nats,
      redis,
      hosts: 0,
      devices: 'cpu:0',
      env: { NATS_USER: 'coordinator', NATS_PASSWORD: 'c-secret', REDIS_URL: redisUrl },
    });
    await cluster.startHost({ env: { NATS_USER: 'host', NATS_PASSWORD: 'h-secret' } });
    return { nats, redis, cluster, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

const faultsOf = (findings: readonly Finding[]) =>
  findings.filter(({ state }) => state !== 'ok').map(({ check, found }) => `${check}: ${found}`);

describe('users with the permissions of the page', function () {
  this.timeout(60_000);
  let secured: Secured | undefined;
  let operator: TroupeClient;
  before(async () => {
    secured = await startSecured();
    operator = await secured.cluster.connect({ user: 'operator', pass: 'o-secret' });
  });
  after(() => secured?.stop());
  afterEach(printLogsOnFailure(() => secured?.cluster));

  it('an operator registers a model, hosts serve it, and the doctor finds nothing wrong', async () => {
    await registerIris(operator, 1);
    expect((await operator.infer('iris', flower)).model).to.equal('iris');
    expect((await operator.recentEvents(100)).length).to.be.greaterThan(0);
    let faults: string[] = [];
    await waitUntil(`all is well, not: ${faults.join('; ')}`, async () => {
      faults = faultsOf((await operator.doctor()).findings);
      return faults.length === 0;
    });
  });

  it('a service asks, and the doctor tells it what else it may not do', async () => {
    const service = await (secured as Secured).cluster.connect({ user: 'service', pass: 's-secret' });
    expect((await service.infer('iris', flower)).model).to.equal('iris');
    const { findings } = await service.doctor();
    const denied = findings.filter(({ check }) => check === 'client.permissions');
    expect(denied.map(({ state, found }) => [state, found])).to.deep.equal([
      ['warning', 'this user may not publish to $O.TROUPE_ARTIFACTS.>: model files'],
      ['warning', 'this user may not publish to troupe.admin.>: everything but requests'],
    ]);
  });
});

describe('users who may do less', function () {
  this.timeout(60_000);

  it('the doctor names what NATS refuses the coordinator, and what Redis refuses its user, and how to mend it', async () => {
    const secured = await startSecured({
      nats: (config) => {
        const less = 'publish: ["troupe.work.>", "troupe.ctl.>", "troupe.evt.>", ';
        return config.replace('publish: ["troupe.>", ', less);
      },
    });
    const redis = await connectRedis({ url: secured.redis.url, namespace: 'troupe' });
    try {
      await redis.read('ACL', 'SETUSER', 'troupe', '-zrem', '-xrevrange');
      const operator = await secured.cluster.connect({ user: 'operator', pass: 'o-secret' });
      const { findings } = await operator.doctor();
      const of = (check: string) =>
        findings
          .filter((one) => one.check === check)
          .map(({ state, found, advice }) => ({ state, found, advice }));
      expect(of('nats.permissions')).to.deep.equal([
        {
          state: 'fault',
          found: 'the coordinator may not publish to troupe.cancel.>: cancelling requests',
          advice:
            "let its user publish troupe.cancel.> in the server's permissions, and restart the coordinators",
        },
        {
          state: 'fault',
          found: 'the coordinator may not publish to troupe.demand.>: models that are loaded on demand',
          advice:
            "let its user publish troupe.demand.> in the server's permissions, and restart the coordinators",
        },
        {
          state: 'fault',
          found: 'the coordinator may not publish to troupe.dead.>: dead letters',
          advice:
            "let its user publish troupe.dead.> in the server's permissions, and restart the coordinators",
        },
      ]);
      expect(of('redis.permissions')).to.deep.equal([
        {
          state: 'fault',
          found: 'user troupe may not run XREVRANGE, ZREM on the keys {troupe}:*',
          advice:
            "run 'ACL SETUSER troupe ~{troupe}:* +xrevrange +zrem', and put it into Redis' ACL file (or ACL SAVE)",
        },
      ]);
    } finally {
      await redis.close();
      await secured.stop();
    }
  });

  it('a Redis user for other keys ends the start, and it says what to run', async () => {
    const failure = await startSecured({ redis: (line) => line.replace('~{troupe}:*', '~{other}:*') }).then(
      (secured) => secured.stop().then(() => 'it came up'),
      (thrown: Error) => thrown.message,
    );
    expect(failure).to.include("on the keys {troupe}:*: run 'ACL SETUSER troupe ~{troupe}:* +");
  });
});
