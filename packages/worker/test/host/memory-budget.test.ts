/** What a host takes on a device with a memory budget, whatever its leader reckons with. */
import { readFileSync } from 'node:fs';
import { defaults, estimateMemory, type ModelVersion, type Signature } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { HostHarness } from './host-harness.js';

const signature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
};
const artifact = readFileSync(new URL('../../../../deploy/models/iris/v1/model.onnx', import.meta.url));

describe('a host with a memory budget', function () {
  this.timeout(60_000);
  let cluster: HostHarness;

  beforeEach(async () => {
    cluster = new HostHarness();
    await cluster.start();
  });
  afterEach(() => cluster.stop());

  it('refuses what does not fit until the memory of the one before is back', async () => {
    const version = await cluster.version(1, artifact, signature);
    const needed = estimateMemory(version, 'cpu:0');
    const budget = Math.floor(1.5 * needed);
    await cluster.startHost('h1', { args: ['--memory-budget', `cpu:0=${budget}`] });
    const assign = (model: string, assigned: ModelVersion) =>
      cluster.command('h1', {
        kind: 'assign',
        assignment: { model, version: assigned, device: 'cpu:0', credits: defaults.credits },
      });
    await cluster.serve('h1', 'ash', version);
    const refused = await assign('birch', version);
    expect(refused.ok || refused.error.reason).to.equal('placement.no_memory');
    const again = await assign('ash', version);
    expect(again.ok, 'a repeat is no second worker').to.equal(true);

    const report = await cluster.report('h1');
    expect(report?.devices[0]?.memoryBudgetBytes).to.equal(budget);
    expect(report?.workers[0]?.memoryChargedBytes).to.be.at.least(needed);
    await waitUntil('its memory was measured', async () => (await cluster.worker('h1', 1))?.memoryBytes);

    await cluster.command('h1', { kind: 'drain', model: 'ash', version: 1, device: 'cpu:0', cause: 'test' });
    await waitUntil('there is room', async () => (await assign('birch', version)).ok);
    await waitUntil('the report is without the one before', async () => {
      const models = (await cluster.report('h1'))?.workers.map(({ model }) => model);
      return models?.join() === 'birch';
    });
  });

  it('has a file beforehand where its leader wants that, and answers once it is there', async () => {
    const { digest, sizeBytes } = await cluster.version(1, artifact, signature);
    const host = await cluster.startHost('h1');
    const fetched = await cluster.command('h1', { kind: 'prefetch', digest, sizeBytes });
    expect(fetched.ok).to.equal(true);
    expect(readFileSync(`${host.dir}/blobs/sha256/${digest}`).equals(artifact)).to.equal(true);
    const absent = await cluster.command('h1', { kind: 'prefetch', digest: 'f'.repeat(64), sizeBytes: 3 });
    expect(absent.ok || absent.error.reason).to.equal('artifact.missing');
  });
});
