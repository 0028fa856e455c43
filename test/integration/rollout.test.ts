/**
 * Rollouts with real processes: the way of a version to `stable`, step by step, and its way back, by an admin or by the
 * hosts' verdict. The leader's death on the way is held by `test/chaos/rollout-leader.test.ts`.
 */
import type { RolloutStatus, TroupeClient } from '@troupe/client';
import { type ErrorReason, type RolloutPhase, TroupeError } from '@troupe/shared';
import { identityModel, mlp } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { tinyMlp } from '../models/dense-models.js';
import { failsOn } from '../models/misbehaving-models.js';

const row = [[5.1, 3.5, 1.4, 0.2]];

describe('a rollout', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let client: TroupeClient;

  before(async () => {
    cluster = await startCluster({
      hosts: 2,
      devices: 'cpu:0',
      env: { TROUPE_LEASE_TTL_MS: '2400', TROUPE_ROUTE_GRACE_MS: '300' },
    });
    client = await cluster.connect();
  });
  after(async () => {
    await client?.close();
    await cluster?.stop();
  });
  afterEach(async function () {
    printLogsOnFailure(() => cluster).call(this);
    for (const { name } of await client.models()) await client.deleteModel(name);
  });

  /** A model of its own for each test: version 1 serves with two workers, version 2 is registered. */
  async function twoVersions(name: string, second: Uint8Array = tinyMlp(2)): Promise<void> {
    await client.registerModel({ name, bytes: tinyMlp(1) });
    await client.registerModel({ name, bytes: second });
    await waitUntil('version 1 has two workers', async () => (await workersOf(name, 1)).length === 2, {
      timeoutMs: 30_000,
    });
  }

  async function workersOf(model: string, version: number) {
    const workers = await client.workers();
    return workers.filter(
      (worker) => worker.model === model && worker.version === version && worker.state === 'serving',
    );
  }

  async function reached(model: string, phase: RolloutPhase): Promise<RolloutStatus> {
    return waitUntil(
      `the rollout of ${model} is ${phase}`,
      async () => {
        const status = await client.rollout(model);
        return status.rollout?.phase === phase ? status : undefined;
      },
      { timeoutMs: 30_000 },
    );
  }

  const answering = async (model: string) => (await client.infer(model, row)).version;
  const answeredBy = (model: string, version: number) =>
    waitUntil(`version ${version} answers`, async () => (await answering(model)) === version);

  async function refused(reason: ErrorReason, work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      expect(error).to.be.instanceOf(TroupeError);
      expect((error as TroupeError).reason, (error as Error).message).to.equal(reason);
      return (error as Error).message;
    }
    throw new Error(`nothing was refused, ${reason} was expected`);
  }

  it('immediate: loads beside stable, takes all traffic at once, bakes, and lets the old version go', async () => {
    await twoVersions('immediate');
    const started = await client.startRollout('immediate', 2, { bakeMs: 700 });
    expect(started).to.deep.include({ model: 'immediate', stable: 1, changed: true, active: true });
    await answeredBy('immediate', 2);
    const { rollout, stable, active } = await reached('immediate', 'promoted');
    expect({ stable, active }).to.deep.equal({ stable: 2, active: false });
    // begun, its first moment, all traffic, promoted
    expect(rollout?.story.map(({ text }) => text)).to.have.length(4);
    await waitUntil('version 1 has no worker', async () =>
      (await client.workers()).every((worker) => worker.model !== 'immediate' || worker.version === 2),
    );
    expect(await answering('immediate')).to.equal(2);
    const again = await client.startRollout('immediate', 2);
    expect(again.changed).to.equal(false);
  });

  it('canary: gives the new version its share, step by step', async () => {
    await twoVersions('canary');
    await client.startRollout('canary', 2, {
      steps: [
        { percent: 50, holdMs: 600_000 },
        { percent: 100, holdMs: 0 },
      ],
      bakeMs: 0,
    });
    await reached('canary', 'canary');
    const seen = new Set<number>();
    await waitUntil('both versions have answered', async () => {
      seen.add(await answering('canary'));
      return seen.size === 2;
    });
    await refused('rollout.active', client.startRollout('canary', 1));
    expect((await client.pauseRollout('canary')).rollout?.paused).to.equal(true);
    expect((await client.resumeRollout('canary')).rollout?.paused).to.equal(false);
    const aborted = await client.abortRollout('canary');
    expect(aborted).to.deep.include({ stable: 1, active: false });
    await waitUntil('version 2 is routed no more', async () =>
      refused('model.version_unknown', client.infer('canary', row, { version: 2 })),
    );
    await refused('rollout.none', client.pauseRollout('canary'));
    // Nobody condemned it: the same version may come again.
    await client.startRollout('canary', 2, { steps: [{ percent: 10, holdMs: 100 }], bakeMs: 0 });
    const { rollout } = await reached('canary', 'promoted');
    expect(rollout?.number).to.equal(2);
    await answeredBy('canary', 2);
  });

  it('shadow: proves that the version loads, and moves nothing', async () => {
    await twoVersions('shadow');
    await client.startRollout('shadow', 2, { strategy: 'shadow', bakeMs: 100 });
    const { stable } = await reached('shadow', 'promoted');
    expect(stable).to.equal(1);
    expect(await answering('shadow')).to.equal(1);
  });

  it('by an admin it is taken back at once, condemned, and comes again after a retry only', async () => {
    await twoVersions('taken-back');
    await client.startRollout('taken-back', 2, { bakeMs: 600_000 });
    await reached('taken-back', 'baking');
    await answeredBy('taken-back', 2);
    expect((await client.infer('taken-back', row, { version: 1 })).version, 'it stands by').to.equal(1);
    const back = await client.rollback('taken-back');
    expect(back).to.deep.include({ stable: 1, active: false });
    expect(back.rollout?.cause).to.deep.equal({ kind: 'admin', text: 'ordered by admin' });
    await answeredBy('taken-back', 1);
    await waitUntil('who pins it is told why', async () =>
      (await refused('model.version_unavailable', client.infer('taken-back', row, { version: 2 }))).includes(
        'ordered by admin',
      ),
    );
    await refused('rollout.condemned', client.startRollout('taken-back', 2));
    await client.retryModel('taken-back', 2);
    await client.startRollout('taken-back', 2, { bakeMs: 0 });
    await reached('taken-back', 'promoted');
    await answeredBy('taken-back', 2);
  });

  it('a version that is stable for long goes back to the one before, which answers as soon as it is loaded', async () => {
    await twoVersions('later');
    await client.startRollout('later', 2, { bakeMs: 0 });
    await reached('later', 'promoted');
    await waitUntil('version 1 has gone', async () =>
      (await client.workers()).every((worker) => worker.model !== 'later' || worker.version === 2),
    );
    const results: number[] = [];
    let stopped = false;
    const load = (async () => {
      while (!stopped) results.push(await answering('later'));
    })();
    const back = await client.rollback('later');
    expect(back).to.deep.include({ stable: 1 });
    await waitUntil('version 1 answers', () => results.at(-1) === 1, { timeoutMs: 30_000 });
    stopped = true;
    await load; // rejects where one request failed
    await refused('rollout.no_stable', client.rollback('later'));
  });

  it('a version with other tensors is refused, unless that is allowed', async () => {
    await twoVersions('renamed', mlp({ layers: [4, 3], outputName: 'scores' }));
    const said = await refused('rollout.signature', client.startRollout('renamed', 2));
    expect(said).to.contain('output output is gone');
    await client.startRollout('renamed', 2, { allowSignatureChange: true, bakeMs: 0 });
    await reached('renamed', 'promoted');
    await waitUntil('the new output is given', async () =>
      Object.keys((await client.infer('renamed', row)).outputs).includes('scores'),
    );
  });

  it('golden cases recorded from stable let through what answers the same, and refuse what does not', async () => {
    for (const elementType of ['FLOAT16', 'BOOL'] as const) {
      const name = `same-${elementType.toLowerCase()}`;
      const bytes = identityModel({ elementType, dims: ['N', 'M'] });
      await client.registerModel({ name, bytes, replicas: 1 });
      const golden = await client.recordGolden(name, { cases: 2 });
      expect(golden.map(({ inputs }) => inputs[0]?.shape)).to.deep.equal([
        [1, 8],
        [2, 8],
      ]);
      expect((await client.registerModel({ name, bytes, golden })).version).to.equal(2);
    }
    await client.registerModel({ name: 'other', bytes: tinyMlp(1), replicas: 1 });
    const golden = await client.recordGolden('other');
    await refused('model.golden', client.registerModel({ name: 'other', bytes: tinyMlp(2), golden }));
    await refused('model.label_unknown', client.recordGolden('other', { label: 'nobody' }));
  });

  it('a version whose runner dies more often than is borne is taken back by the verdict of its host', async () => {
    await twoVersions('mortal');
    await client.startRollout('mortal', 2, { bakeMs: 600_000, maxCrashes: 0 });
    await reached('mortal', 'baking');
    await answeredBy('mortal', 2);
    const [victim] = await workersOf('mortal', 2);
    process.kill(victim?.pid as number, 'SIGKILL');
    const { rollout, stable } = await reached('mortal', 'rolled_back');
    expect(stable).to.equal(1);
    expect(rollout?.cause?.kind).to.equal('crash');
    await answeredBy('mortal', 1);
    await refused('rollout.condemned', client.startRollout('mortal', 2));
  });

  it('a version that fails on some requests is taken back by what stable answered in its place', async () => {
    const name = 'partly';
    await client.registerModel({ name, bytes: failsOn(100), replicas: 1 });
    await client.registerModel({ name, bytes: failsOn(4) });
    await client.startRollout(name, 2, { steps: [{ percent: 50, holdMs: 600_000 }] });
    await reached(name, 'canary');
    const answers: { asked: number; got: unknown; version: number; degraded: boolean }[] = [];
    await waitUntil(
      'it is taken back',
      async () => {
        const asked = answers.length % 3 === 0 ? 50 : 2;
        const { outputs, version, degraded } = await client.infer(name, [[asked, 0, 0, 0]]);
        answers.push({ asked, got: outputs.output?.data[1], version, degraded });
        return answers.length % 20 === 0 && !(await client.rollout(name)).active;
      },
      { timeoutMs: 60_000, everyMs: 0 },
    );
    const { rollout, stable } = await client.rollout(name);
    expect(stable).to.equal(1);
    expect(rollout?.cause?.kind).to.equal('evidence');
    expect(rollout?.evidence?.candidate.errors).to.be.greaterThan(0);
    // Nobody saw an error or a wrong number, and what stable answered for the other is marked.
    for (const { asked, got, version, degraded } of answers) {
      expect(got).to.equal(10 * asked);
      if (degraded) expect({ asked, version }).to.deep.equal({ asked: 50, version: 1 });
      if (version === 2) expect(asked).to.equal(2);
    }
    expect(answers.some(({ degraded }) => degraded)).to.equal(true);
  });

  it('where the new version has no room beside the old one it says so before it begins, and goes on with a worker less', async () => {
    await twoVersions('crowded');
    const slots = new Map((await client.hosts()).map(({ host, slots: count }) => [host, count]));
    try {
      for (const { host, workers } of await client.hosts()) await client.scale(host, workers.length);
      await waitUntil('no slot is free', async () =>
        (await client.hosts()).every((host) => host.slots === host.workers.length),
      );
      const said = await refused('rollout.no_room', client.startRollout('crowded', 2));
      expect(said).to.match(/2 slots are needed/);
      expect((await client.rollout('crowded')).rollout).to.equal(undefined);
      await client.startRollout('crowded', 2, { maxUnavailable: 1, bakeMs: 1_000 });
      await reached('crowded', 'promoted');
      await waitUntil(
        'two workers of version 2 serve',
        async () => (await workersOf('crowded', 2)).length === 2,
        {
          timeoutMs: 30_000,
        },
      );
      expect(await answering('crowded')).to.equal(2);
    } finally {
      for (const [host, count] of slots) await client.scale(host, count);
    }
  });
});
