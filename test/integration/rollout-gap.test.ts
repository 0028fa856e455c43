/**
 * A rollout with a gap on a whole cluster: the budget holds one version, so the old one goes before the new one loads, and
 * requests wait meanwhile. With the usual settings: none may fail, and none may be lost, whatever comes of the new version.
 */
import type { RolloutStatus, TroupeClient } from '@troupe/client';
import { type RolloutPhase, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { tinyMlp } from '../models/dense-models.js';

const row = [[5.1, 3.5, 1.4, 0.2]];
const name = 'tight';
/** Holds one runner of a tiny model, and not two. */
const budget = '150MiB';
const patience = { timeoutMs: 60_000 };

describe('a rollout with a gap, under a budget that holds one version', function () {
  this.timeout(180_000);
  let cluster: TestCluster;
  let client: TroupeClient;

  beforeEach(async () => {
    cluster = await startCluster({
      devices: 'cpu:0',
      env: { TROUPE_MEMORY_BUDGET: budget, TROUPE_LEASE_TTL_MS: '900' },
    });
    client = await cluster.connect();
    await client.registerModel({ name, bytes: tinyMlp(1), replicas: 1 });
    await client.registerModel({ name, bytes: tinyMlp(2), replicas: 1 });
  });
  afterEach(async function () {
    printLogsOnFailure(() => cluster).call(this);
    await client?.close();
    await cluster?.stop();
  });

  /** Requests one after the other, four at a time; `stop` gives who answered how many, and rejects where one failed. */
  function load(): { stop(): Promise<Map<number, number>> } {
    const answered = new Map<number, number>();
    let stopped = false;
    const loops = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stopped) {
          const { version } = await client.infer(name, row, { deadlineMs: 60_000 });
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

  const reached = (phase: RolloutPhase): Promise<RolloutStatus> =>
    waitUntil(
      `the rollout is ${phase}`,
      async () => {
        const status = await client.rollout(name);
        return status.rollout?.phase === phase ? status : undefined;
      },
      patience,
    );
  const versions = async () =>
    (await client.workers()).filter(({ model }) => model === name).map(({ version }) => version);
  const servedAloneBy = (version: number) =>
    waitUntil(
      `version ${version} serves, and nobody else`,
      async () => {
        const workers = (await client.workers()).filter(({ model }) => model === name);
        const [only] = workers;
        return workers.length === 1 && only?.version === version && only.servingVersion === version;
      },
      patience,
    );
  const answeredBy = (version: number) =>
    waitUntil(
      `version ${version} answers`,
      async () => (await client.infer(name, row, { deadlineMs: 60_000 })).version === version,
      patience,
    );
  const startWithGap = (bakeMs: number) =>
    client.startRollout(name, 2, { allowGap: true, maxCrashes: 0, bakeMs });

  it('is refused without leave, and with leave replaces the version while requests wait: none fails', async () => {
    const refused = await client.startRollout(name, 2).catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(TroupeError);
    expect((refused as TroupeError).reason).to.equal('rollout.no_room');
    expect((refused as TroupeError).message)
      .to.match(/\d+ MiB are needed, \d+ MiB are free, of a budget of 150 MiB/)
      .and.to.include('--allow-gap');
    const running = load();
    await answeredBy(1);
    const started = await startWithGap(500);
    expect(started.rollout?.gap).to.equal(true);
    await reached('promoted');
    await servedAloneBy(2);
    await answeredBy(2);
    const answered = await running.stop();
    expect([...answered.keys()].sort((one, other) => one - other)).to.deep.equal([1, 2]);
    const texts = (await client.rollout(name)).rollout?.story.map(({ text }) => text);
    expect(texts?.[1]).to.include('finishes what it holds and goes first, requests wait');
    expect(texts?.at(-1)).to.include('it is promoted');
  });

  it('a new version whose process dies is taken back, and the old one is loaded again: none fails', async () => {
    const running = load();
    await answeredBy(1);
    await startWithGap(600_000);
    // Done by hand: its process ends while it loads, or as soon as it serves, as it does on a lack of memory.
    const pid = await waitUntil(
      'the new version has a process',
      async () => {
        const workers = await client.workers();
        return workers.find(({ condemned, version }) => version === 2 && condemned === undefined)?.pid;
      },
      { ...patience, everyMs: 20 },
    );
    process.kill(pid, 'SIGKILL');
    const { rollout, stable } = await reached('rolled_back');
    expect(stable).to.equal(1);
    expect(rollout?.story.at(-1)?.text).to.include('is loaded again, requests wait');
    await servedAloneBy(1);
    await answeredBy(1);
    await running.stop();
  });

  it('is given up half-way, and taken back later, by an admin: the old one comes back, and none fails', async () => {
    const running = load();
    await answeredBy(1);
    await startWithGap(600_000);
    await client.abortRollout(name);
    await servedAloneBy(1);
    await answeredBy(1);
    await startWithGap(600_000);
    await reached('baking');
    await answeredBy(2);
    await client.rollback(name);
    await servedAloneBy(1);
    await answeredBy(1);
    await running.stop();
  });

  it('goes on where the leader dies in the gap: none fails', async () => {
    const running = load();
    await answeredBy(1);
    await startWithGap(500);
    await waitUntil('the old version has gone', async () => !(await versions()).includes(1), {
      ...patience,
      everyMs: 10,
    });
    await cluster.coordinators[0]?.kill('SIGKILL');
    await cluster.startCoordinator();
    await reached('promoted');
    await servedAloneBy(2);
    await answeredBy(2);
    await running.stop();
  });
});
