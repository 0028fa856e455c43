/** A host that is started again while Redis and the artifact store are gone: everything real, the test plays the leader. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, type Signature } from '@troupe/shared';
import { createArtifactStore } from '@troupe/shared/nats';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { createResumeList } from '../../src/host/resume-list.js';
import { HostHarness } from './host-harness.js';

const irisSignature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
};
const setosa = [5.1, 3.5, 1.4, 0.2];
const irisArtifact = () =>
  readFileSync(new URL('../../../../deploy/models/iris/v1/model.onnx', import.meta.url));

describe('a host without Redis', function () {
  this.timeout(90_000);
  let cluster: HostHarness;

  beforeEach(async () => {
    cluster = new HostHarness();
    await cluster.start();
  });
  afterEach(async () => {
    await cluster.stop();
  });

  it('serves what it served last from its snapshot, unverified, and is an ordinary host again once Redis is back', async () => {
    const before = await cluster.startHost('h1', { args: ['--devices', 'cpu:0'] });
    const version = await cluster.version(1, irisArtifact(), irisSignature);
    await cluster.serve('h1', 'iris', version);
    for (let count = 0; count < 110; count += 1) await cluster.infer('iris', 1, setosa);
    await waitUntil('it counts as stable', () => existsSync(`${before.dir}/models/iris/stable.json`));
    await waitUntil('it is noted', () => existsSync(`${before.dir}/serving.json`));

    before.child.kill('SIGKILL');
    await before.exited;
    await cluster.redis.kill();
    const artifacts = createArtifactStore(cluster.link);
    await artifacts.delete(version.digest);
    await artifacts.close();

    const starting = cluster.startHost('h1', { args: ['--devices', 'cpu:0'], dir: before.dir });
    const answer = await cluster.infer('iris', 1, setosa, { deadlineMs: 60_000 });
    expect(answer.model_version).to.equal('1');
    expect(answer.outputs[0]?.data[0]).to.be.greaterThan(0.9);
    expect(answer.parameters ?? {}).to.not.have.property('degraded');

    await cluster.redis.restart();
    const after = await starting;
    await waitUntil('it has said so', () => after.stderr().includes('served, unverified'));
    await waitUntil('it is confirmed, and has gone on with the process that answered before', async () => {
      const found = await cluster.worker('h1', 1);
      return found?.state === 'serving' && found.unverified === undefined && found.completed === 1;
    });
    const reply = await cluster.command('h1', {
      kind: 'drain',
      model: 'iris',
      version: 1,
      device: 'cpu:0',
      cause: 'test',
    });
    expect(reply.ok).to.equal(true);
    await waitUntil('it has obeyed', async () => (await cluster.worker('h1', 1)) === undefined);
    await waitUntil('and will not resume it', () =>
      readFileSync(`${before.dir}/serving.json`, 'utf8').includes('"workers":[]'),
    );
  });

  it('resumes nothing that was never proven', async () => {
    const before = await cluster.startHost('h1', { args: ['--devices', 'cpu:0'] });
    await cluster.serve('h1', 'iris', await cluster.version(1, irisArtifact(), irisSignature));
    await waitUntil('it is noted', () => existsSync(`${before.dir}/serving.json`));
    before.child.kill('SIGKILL');
    await before.exited;
    await cluster.redis.kill();
    const starting = cluster.startHost('h1', { args: ['--devices', 'cpu:0'], dir: before.dir });
    const fault = await cluster
      .infer('iris', 1, setosa, { deadlineMs: 4_000 })
      .catch((thrown: unknown) => thrown);
    expect(fault).to.be.instanceOf(Error).with.property('reason', 'request.deadline');
    await cluster.redis.restart();
    await starting;
    // The test's own connection to Redis may be back later than the host's.
    const report = await waitUntil('the host is seen', () => cluster.report('h1'));
    expect(report.workers).to.deep.equal([]);
  });
});

describe('the list of what a host serves', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-resume-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const open = () => createResumeList({ dir, log: createLog('test', 'silent') });
  const entry = { model: 'iris', device: 'cpu:0', credits: 64 };

  it('comes back as it was kept last, one entry for a model on a device', async () => {
    const list = open();
    expect(await list.load()).to.deep.equal([]);
    list.keep([{ ...entry, credits: 1 }]);
    list.keep([entry, entry, { ...entry, device: 'cpu:1' }]);
    await list.idle();
    expect(await open().load()).to.deep.equal([entry, { ...entry, device: 'cpu:1' }]);
  });

  it('leaves out what is damaged, and never makes a path of it', async () => {
    writeFileSync(join(dir, 'serving.json'), 'half of a fi');
    expect(await open().load()).to.deep.equal([]);
    const workers = [{ ...entry, model: '../../etc' }, { ...entry, credits: 0 }, null, entry];
    writeFileSync(join(dir, 'serving.json'), JSON.stringify({ workers }));
    expect(await open().load()).to.deep.equal([entry]);
  });
});
