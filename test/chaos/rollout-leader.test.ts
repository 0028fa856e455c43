/**
 * The leader dies at each step of a rollout: another coordinator goes on from the record, and each step is taken once.
 * Requests go on meanwhile, and none of them fails.
 */
import type { RolloutStatus, TroupeClient } from '@troupe/client';
import type { RolloutPhase, TroupeEvent } from '@troupe/shared';
import { connectRedis, createRedisRegistryStore } from '@troupe/shared/redis';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { tinyMlp } from '../models/dense-models.js';

const row = [[5.1, 3.5, 1.4, 0.2]];
const steps = [
  { percent: 20, holdMs: 300 },
  { percent: 60, holdMs: 300 },
];

describe('a rollout whose leader dies', function () {
  this.timeout(180_000);
  let cluster: TestCluster;
  let client: TroupeClient;

  beforeEach(async () => {
    cluster = await startCluster({
      hosts: 1,
      coordinators: 2,
      env: { TROUPE_LEASE_TTL_MS: '900', TROUPE_ROUTE_GRACE_MS: '300' },
    });
    client = await cluster.connect();
    await client.registerModel({ name: 'iris', bytes: tinyMlp(1), replicas: 1 });
    await client.registerModel({ name: 'iris', bytes: tinyMlp(2) });
  });
  afterEach(async function () {
    printLogsOnFailure(() => cluster).call(this);
    await client.close();
    await cluster.stop();
  });

  /** Process id of who leads: a coordinator is called by its machine and process. */
  async function leaderPid(): Promise<number> {
    const elected = (await client.recentEvents(1_000)).filter(({ kind }) => kind === 'leader.elected');
    return Number(/-(\d+)$/.exec(String(elected.at(-1)?.data.coordinator))?.[1]);
  }

  /** Kills the leader, and starts another coordinator, so that there are always two. */
  async function killLeader(): Promise<void> {
    const leader = await waitUntil(
      'somebody leads',
      async () => {
        const pid = await leaderPid();
        return cluster.coordinators.find((coordinator) => coordinator.pid === pid && coordinator.alive);
      },
      { timeoutMs: 20_000 },
    );
    await leader.kill('SIGKILL');
    await cluster.startCoordinator();
  }

  async function reached(phase: RolloutPhase, stepIndex = 0): Promise<RolloutStatus> {
    return waitUntil(
      `the rollout is ${phase}, step ${stepIndex}`,
      async () => {
        const status = await client.rollout('iris');
        const { rollout } = status;
        return rollout?.phase === phase && rollout.stepIndex === stepIndex ? status : undefined;
      },
      { timeoutMs: 60_000 },
    );
  }

  /** Requests one after the other, four at a time; `stop` gives what each version answered, and rejects where one failed. */
  function load(): { stop(): Promise<Map<number, number>> } {
    const answered = new Map<number, number>();
    let stopped = false;
    const loops = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stopped) {
          const { version } = await client.infer('iris', row, { deadlineMs: 30_000 });
          answered.set(version, (answered.get(version) ?? 0) + 1);
        }
      }),
    );
    loops.catch(() => undefined); // told by stop()
    return {
      async stop() {
        stopped = true;
        await loops;
        return answered;
      },
    };
  }

  /** What the registry's audit says was done to the rollout, in order. */
  async function stepsTaken(): Promise<string[]> {
    const redis = await connectRedis({ url: cluster.redisUrl, namespace: cluster.namespace });
    const registry = createRedisRegistryStore(redis);
    try {
      const entries = await registry.audit(1_000);
      return entries.map(({ action }) => action).filter((action) => action.startsWith('rollout_'));
    } finally {
      await registry.close();
      await redis.close();
    }
  }

  it('at each step of a canary: it is promoted, each step taken once', async () => {
    const running = load();
    const killed: string[] = [];
    let replacing: Promise<unknown> = Promise.resolve();
    client.onEvent(
      ({ source, data }) => {
        // Whoever has just taken the step is killed before it can do anything else.
        const leader = cluster.coordinators.find(({ pid }) => source.endsWith(`-${pid}`));
        if (leader === undefined) return;
        killed.push(`${String(data.phase)} ${String(data.stepIndex)}`);
        const dead = leader.kill('SIGKILL');
        replacing = replacing.then(() => dead).then(() => cluster.startCoordinator());
      },
      { kinds: ['rollout.step', 'rollout.promoted'] },
    );
    await client.startRollout('iris', 2, { steps, bakeMs: 400 });
    await killLeader();
    const { stable } = await reached('promoted');
    expect(stable).to.equal(2);
    // The last successor ends what is left: the probation of the new version, and the old one's workers.
    await waitUntil(
      'the new version serves alone, for good',
      async () => {
        const workers = (await client.workers()).filter(({ model }) => model === 'iris');
        return workers.every(({ version, probation }) => version === 2 && probation !== true);
      },
      { timeoutMs: 30_000 },
    );
    await waitUntil('each step was told', () => killed.length >= 4);
    await replacing;
    const answered = await running.stop();
    expect([...answered.keys()].sort((one, other) => one - other)).to.deep.equal([1, 2]);
    expect(killed).to.deep.equal(['canary 0', 'canary 1', 'baking 0', 'promoted 0']);
    expect(await stepsTaken()).to.deep.equal([
      'rollout_staging',
      'rollout_canary',
      'rollout_canary',
      'rollout_baking',
      'rollout_promoted',
    ]);
  });

  it('in the moment that the version is taken back: it is taken back once, and stays so', async () => {
    const running = load();
    await client.startRollout('iris', 2, { steps: [{ percent: 50, holdMs: 600_000 }] });
    await reached('canary');
    // The verdict is the leader's last word: its successor tells the hosts.
    const taken = new Promise<TroupeEvent>((resolve) => {
      client.onEvent(resolve, { kinds: ['rollout.rolled_back'] });
    });
    await client.rollback('iris');
    await killLeader();
    expect((await taken).data).to.include({ model: 'iris', to: 2, cause: 'admin' });
    await waitUntil(
      'no worker of the condemned version is left',
      async () => (await client.workers()).every(({ model, version }) => model !== 'iris' || version === 1),
      { timeoutMs: 30_000 },
    );
    const { rollout, stable } = await client.rollout('iris');
    expect([stable, rollout?.phase]).to.deep.equal([1, 'rolled_back']);
    await running.stop();
    expect(await stepsTaken()).to.deep.equal(['rollout_staging', 'rollout_canary', 'rollout_rolled_back']);
  });
});
