/** A host with everything real: NATS, Redis, runner processes, ONNX Runtime. The test plays the leader. */
import { existsSync, readFileSync } from 'node:fs';
import type { Signature } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { slowOn } from '../../../../test/models/misbehaving-models.js';
import { HostHarness, isRunning, recordedRunners } from './host-harness.js';
import { ScriptedNvidiaSmi } from './scripted-nvidia-smi.js';

const irisPath = (version: number) =>
  new URL(`../../../../deploy/models/iris/v${version}/model.onnx`, import.meta.url);
const irisSignature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
};
const slowSignature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 4] }],
};
const setosa = [5.1, 3.5, 1.4, 0.2];

describe('host', function () {
  this.timeout(90_000);
  let cluster: HostHarness;

  beforeEach(async () => {
    cluster = new HostHarness();
    await cluster.start();
  });
  afterEach(async () => {
    await cluster.stop();
  });

  const iris = (version: number) => cluster.version(version, readFileSync(irisPath(version)), irisSignature);

  it('serves what it is assigned, and a new version beside the old one', async () => {
    await cluster.startHost('h1', { args: ['--devices', 'cpu:0,cpu:1'] });
    const first = await iris(1);
    await cluster.serve('h1', 'iris', first);
    const answer = await cluster.infer('iris', 1, setosa);
    expect(answer.model_version).to.equal('1');
    expect(answer.outputs[0]?.data[0]).to.be.greaterThan(0.9);

    await cluster.serve('h1', 'iris', await iris(2));
    await cluster.command('h1', {
      kind: 'drain',
      model: 'iris',
      version: 1,
      device: 'cpu:0',
      cause: 'replaced',
    });
    await waitUntil('the old worker is gone', async () => (await cluster.worker('h1', 1)) === undefined);
    expect((await cluster.infer('iris', 2, setosa)).model_version).to.equal('2');
    const report = await cluster.report('h1');
    expect(report).to.include({ slots: 16, stopping: false, runtimeVersion: '1.30.0', epoch: cluster.epoch });
    expect(report?.devices.map(({ name }) => name)).to.deep.equal(['cpu:0', 'cpu:1']);
  });

  it('a command of a lower epoch is refused, and so are one without an epoch and one that is malformed', async () => {
    await cluster.startHost('h1');
    const scale = { kind: 'scale', slots: 3 } as const;
    const refusal = async (send: Promise<{ ok: boolean }>) => {
      const reply = (await send) as { ok: false; error: { reason: string } };
      return reply.ok ? 'accepted' : reply.error.reason;
    };
    expect(await refusal(cluster.command('h1', scale, cluster.epoch + 5))).to.equal('accepted');
    expect(await refusal(cluster.command('h1', scale))).to.equal('epoch.stale');
    expect(await refusal(cluster.command('h1', scale, undefined as never))).to.equal('epoch.stale');
    cluster.epoch += 5;
    expect(
      await refusal(
        cluster.command('h1', { kind: 'drain', model: '../x', version: 1, device: 'cpu:0', cause: 'x' }),
      ),
    ).to.equal('model.name');
    expect(await refusal(cluster.command('h1', { kind: 'dance' } as never))).to.equal('request.arguments');
    expect(
      await refusal(
        cluster.command('h1', {
          kind: 'assign',
          assignment: { model: 'iris', version: await iris(1), device: 'cuda:0', credits: 1 },
        }),
      ),
    ).to.equal('placement.no_device');
  });

  it('fewer slots drain the newest workers, and a full host refuses', async () => {
    await cluster.startHost('h1', { args: ['--devices', 'cpu:0,cpu:1', '--slots', '2'] });
    const first = await iris(1);
    const second = await iris(2);
    await cluster.serve('h1', 'iris', first);
    await cluster.serve('h1', 'iris', second);
    const refused = await cluster.command('h1', {
      kind: 'assign',
      assignment: { model: 'iris', version: first, device: 'cpu:1', credits: 8 },
    });
    expect(refused).to.have.nested.property('error.reason', 'placement.no_slot');
    await cluster.command('h1', { kind: 'scale', slots: 1 });
    await waitUntil('one worker is left', async () => (await cluster.report('h1'))?.workers.length === 1);
    await waitUntil('it is the oldest', async () => (await cluster.worker('h1', 1))?.state === 'serving');
    await cluster.untilTold('host.scaled');
  });

  it('what a killed runner held is answered by its successor; the death is an event', async () => {
    await cluster.startHost('h1', { env: { TROUPE_LEASE_TTL_MS: '600' } });
    const { pid } = await cluster.serve('h1', 'slow', await cluster.version(1, slowOn(), slowSignature));
    // The first runs long enough to be seen in a report, on a machine of whatever speed; the others wait behind it.
    const trips = [500_000, 1, 2, 3];
    const answers = trips.map((count) => cluster.infer('slow', 1, [count, 0, 0, 0], { deadlineMs: 60_000 }));
    await waitUntil('it holds them', async () => ((await cluster.worker('h1', 1))?.inFlight ?? 0) > 0);
    process.kill(pid ?? 0, 'SIGKILL');
    const results = await Promise.all(answers);
    expect(results.map((answer) => answer.outputs[0]?.data[0])).to.deep.equal(trips);
    const after = await waitUntil('it serves again', async () => {
      const worker = await cluster.worker('h1', 1);
      return worker?.state === 'serving' && worker.pid !== pid ? worker : undefined;
    });
    expect(after.crashes).to.equal(1);
    await waitUntil('its death is told', () =>
      cluster.events.some(({ kind, data }) => kind === 'runner.died' && Number(data.handedBack) > 0),
    );
  });

  it('a request whose run passes the run limit is told so once, and the next one is answered', async () => {
    await cluster.startHost('h1');
    const slow = await cluster.version(1, slowOn(), slowSignature, { limits: { runLimitMs: 1_000 } });
    await cluster.serve('h1', 'slow', slow);
    const fault = await cluster.infer('slow', 1, [1e9, 0, 0, 0]).catch((thrown: unknown) => thrown);
    expect(fault).to.have.property('reason', 'model.run_limit');
    expect(fault).to.have.property('message').that.contains('1000 ms');
    expect((await cluster.infer('slow', 1, [3, 0, 0, 0])).outputs[0]?.data[0]).to.equal(3);
    await waitUntil('the report says so', async () => {
      expect(await cluster.worker('h1', 1)).to.include({ crashes: 1, state: 'serving' });
      return true;
    });
  });

  it('a version that cannot load is covered by the last stable one, answers marked degraded', async () => {
    const host = await cluster.startHost('h1');
    await cluster.serve('h1', 'iris', await iris(1));
    for (let count = 0; count < 110; count += 1) await cluster.infer('iris', 1, setosa);
    await waitUntil('it counts as stable', () => existsSync(`${host.dir}/models/iris/stable.json`));
    await cluster.command('h1', {
      kind: 'drain',
      model: 'iris',
      version: 1,
      device: 'cpu:0',
      cause: 'replaced',
    });
    const broken = await cluster.version(2, new TextEncoder().encode('this is no model'), irisSignature);
    await cluster.command('h1', {
      kind: 'assign',
      assignment: { model: 'iris', version: broken, device: 'cpu:0', credits: 8 },
    });
    const worker = await waitUntil(
      'it is covered',
      async () => {
        const report = await cluster.worker('h1', 2);
        return report?.state === 'fallback' && report.servingVersion === 1 ? report : undefined;
      },
      { timeoutMs: 30_000 },
    );
    expect(worker.reason).to.be.a('string').and.not.equal('');
    const answer = await cluster.infer('iris', 2, setosa);
    expect(answer).to.include({ model_version: '1' });
    expect(answer.parameters).to.deep.include({ degraded: true });
  });

  it('SIGTERM drains: no request is lost, the lease is released, nothing is left running', async () => {
    const host = await cluster.startHost('h1');
    await cluster.serve('h1', 'iris', await iris(1));
    const runners = recordedRunners(host.dir);
    const answers = Array.from({ length: 200 }, () =>
      cluster.infer('iris', 1, setosa, { deadlineMs: 30_000 }),
    );
    await answers[0];
    host.child.kill('SIGTERM');
    host.child.kill('SIGTERM');
    expect(await host.exited).to.deep.equal({ code: 0, signal: null });
    expect(await cluster.report('h1')).to.equal(undefined);
    expect(runners.filter(isRunning)).to.deep.equal([]);
    // What it handed back is answered by the next host.
    await cluster.startHost('h2');
    await cluster.serve('h2', 'iris', await iris(1));
    expect(await Promise.all(answers)).to.have.length(200);
  });

  it('a second Ctrl-C, a second later, ends a host at once that waits for a long run', async () => {
    const host = await cluster.startHost('h1');
    await cluster.serve('h1', 'slow', await cluster.version(1, slowOn(), slowSignature));
    const runners = recordedRunners(host.dir);
    const answer = cluster.infer('slow', 1, [1e9, 0, 0, 0]).catch(() => 'no answer');
    await waitUntil('it runs', async () => ((await cluster.worker('h1', 1))?.inFlight ?? 0) > 0);
    await waitUntil('it has ended', () => host.child.exitCode !== null || void host.child.kill('SIGINT'));
    expect(await host.exited).to.deep.equal({ code: 130, signal: null });
    await waitUntil('its runners are gone', () => !runners.some(isRunning));
    expect(await cluster.report('h1')).to.equal(undefined);
    cluster.submitter.close();
    await answer;
  });

  it('kill -9 of a host leaves no runner behind, and its data folder free for the next', async () => {
    const host = await cluster.startHost('h1');
    await cluster.serve('h1', 'iris', await iris(1));
    const runners = recordedRunners(host.dir);
    expect(runners).to.have.length(1);
    host.child.kill('SIGKILL');
    await waitUntil('its runners are gone', () => !runners.some(isRunning));
    const next = await cluster.startHost('h1', { dir: host.dir });
    expect(next.child.exitCode).to.equal(null);
    await cluster.serve('h1', 'iris', await iris(1));
  });

  it('a runner that was stopped while its host died is ended by the next host', async () => {
    const host = await cluster.startHost('h1');
    await cluster.serve('h1', 'iris', await iris(1));
    const [runner] = recordedRunners(host.dir);
    process.kill(runner ?? 0, 'SIGSTOP');
    host.child.kill('SIGKILL');
    await host.exited;
    expect(isRunning(runner ?? 0)).to.equal(true);
    await cluster.startHost('h1', { dir: host.dir });
    await waitUntil('it is ended', () => !isRunning(runner ?? 0));
  });

  it('a frozen runner is killed and replaced, and its messages are answered', async () => {
    await cluster.startHost('h1', { env: { TROUPE_RUNNER_SILENCE_MS: '1000' } });
    const { pid } = await cluster.serve('h1', 'iris', await iris(1));
    process.kill(pid ?? 0, 'SIGSTOP');
    expect((await cluster.infer('iris', 1, setosa)).model_version).to.equal('1');
    expect(isRunning(pid ?? 0)).to.equal(false);
  });

  it('a host whose lease was taken over drains, and comes back when the other is gone', async () => {
    await cluster.startHost('h1', { env: { TROUPE_LEASE_TTL_MS: '1000' } });
    await cluster.serve('h1', 'iris', await iris(1));
    const report = await cluster.report('h1');
    if (report === undefined) throw new Error('no report');
    const { token } = await cluster.leases.registerHost('h1', 2_000, { ...report, workers: [] });
    await waitUntil('it is back, empty', async () => {
      const lease = (await cluster.leases.listHosts())[0];
      return lease !== undefined && lease.token > token && lease.report.workers.length === 0;
    });
    await cluster.untilTold('host.fenced');
    await cluster.serve('h1', 'iris', await iris(1));
  });

  it('with Redis gone a host serves on, and is renewed when it is back', async () => {
    await cluster.startHost('h1');
    await cluster.serve('h1', 'iris', await iris(1));
    await cluster.redis.kill();
    expect((await cluster.infer('iris', 1, setosa)).model_version).to.equal('1');
    await cluster.redis.restart();
    await waitUntil('the lease is renewed', async () => {
      const lease = (await cluster.leases.listHosts())[0];
      return lease !== undefined && lease.remainingMs > 0;
    });
    expect((await cluster.infer('iris', 1, setosa)).model_version).to.equal('1');
  });

  it('two hosts never share a data folder', async () => {
    const host = await cluster.startHost('h1');
    const second = await cluster.startHost('h2', { dir: host.dir });
    expect(await second.exited).to.include({ code: 1 });
    await waitUntil('it has said why', () => /^troupe: data folder .* is in use/m.test(second.stderr()));
  });

  it('a device that was asked for and does not work ends the start in one line, and wrong usage is told apart', async () => {
    // No machine has it: ONNX Runtime refuses it with or without CUDA.
    const broken = await cluster.startHost('h1', { args: ['--devices', 'cpu:0,cuda:999'] });
    expect(await broken.exited).to.include({ code: 1 });
    const said = () =>
      broken
        .stderr()
        .split('\n')
        .filter((line) => line.startsWith('troupe: '));
    await waitUntil('it has said why in one line', () => said().length === 1);
    expect(said()[0]).to.match(/^troupe: device cuda:999 cannot be used by the CUDA execution provider/);
    expect(await cluster.report('h1')).to.equal(undefined);
    const wrong = await cluster.startHost('h1', { args: ['--devices', 'tpu:0'] });
    expect(await wrong.exited).to.include({ code: 2 });
    await waitUntil('it has said why', () => wrong.stderr().includes('cpu:N, cuda:N or webgpu:N'));
  });

  it('`--devices auto` takes what works, and says what fell out and why', async () => {
    const tool = new ScriptedNvidiaSmi();
    try {
      tool.says('999, 1000, 10, 5');
      const host = await cluster.startHost('h1', { args: ['--devices', 'auto'], env: { PATH: tool.path } });
      const report = await cluster.report('h1');
      expect(report?.devices.map(({ name }) => name)).to.deep.equal(['cpu:0']);
      expect(report?.slots).to.equal(8);
      await waitUntil('it has said so', () =>
        host.stderr().includes('left out: device cuda:999 cannot be used'),
      );
    } finally {
      tool.remove();
    }
  });

  it('a trial tells a good artifact’s signature, and nothing of a refused one stays', async () => {
    const host = await cluster.startHost('h1');
    const good = await iris(1);
    const trial = { digest: good.digest, sizeBytes: good.sizeBytes, golden: [], batching: {}, limits: {} };
    const verdict = await cluster.command('h1', { kind: 'trial', trial });
    expect(verdict).to.have.nested.property('trial.batchable', true);
    expect(verdict).to.have.nested.property('trial.signature').that.deep.equals(irisSignature);
    const bad = await cluster.version(1, new TextEncoder().encode('this is no model'), irisSignature);
    const refused = await cluster.command('h1', {
      kind: 'trial',
      trial: { ...trial, digest: bad.digest, sizeBytes: bad.sizeBytes },
    });
    expect(refused).to.have.nested.property('error.reason', 'model.not_onnx');
    expect(() => readFileSync(`${host.dir}/blobs/sha256/${bad.digest}`)).to.throw('ENOENT');
  });
});
