/** A folder of models that a host watches: what is put there is live, what is broken stays out. Everything real. */
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import { waitUntil } from '../harness/wait-until.js';

const irisPath = (version: number) =>
  new URL(`../../deploy/models/iris/v${version}/model.onnx`, import.meta.url).pathname;
const setosa = [[5.1, 3.5, 1.4, 0.2]];

describe('a watched folder', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let folder: string;

  before(async () => {
    folder = temporaryDirectory('models');
    // A model for each way of a newer file: it would wait for the end of the rollout before it.
    for (const model of ['iris', 'mended']) {
      mkdirSync(join(folder, model, '1'), { recursive: true });
      copyFileSync(irisPath(1), join(folder, model, '1/model.onnx'));
    }
    mkdirSync(join(folder, 'empty'));
    cluster = await startCluster({ hosts: 0, env: { TROUPE_ROUTE_GRACE_MS: '500' } });
    await cluster.startHost({ devices: 'cpu:0', args: [`--watch=${folder}`] });
    client = await cluster.connect();
  });
  afterEach(function () {
    printLogsOnFailure(() => cluster).call(this);
  });
  after(async () => {
    await client.close();
    await cluster.stop();
    removeDirectory(folder);
  });

  const answeringVersion = async (model: string) => {
    try {
      return (await client.infer(model, { input: setosa })).version;
    } catch {
      return undefined;
    }
  };
  const untilLive = (model: string, version: number) =>
    waitUntil(
      `version ${version} of ${model} answers`,
      async () => (await answeringVersion(model)) === version,
      { timeoutMs: 60_000 },
    );
  const log = () => cluster.hosts[0]?.log() ?? '';

  it('serves what is in it at the start, and says what it leaves out', async () => {
    await untilLive('iris', 1);
    await untilLive('mended', 1);
    await waitUntil('it has said so', () => log().includes('empty has no version folder'));
  });

  it('rolls a new version out, once it is written completely', async () => {
    const half = readFileSync(irisPath(2));
    const path = join(folder, 'iris/2/model.onnx');
    mkdirSync(join(folder, 'iris/2'));
    writeFileSync(path, half.subarray(0, 100));
    await new Promise((resolve) => setTimeout(resolve, 300));
    appendFileSync(path, half.subarray(100));
    await untilLive('iris', 2);
    expect(log()).to.not.include('refused, the old version stays live');
  });

  it('keeps the old version where the new file is broken, and takes the mended one', async () => {
    mkdirSync(join(folder, 'mended/2'));
    const path = join(folder, 'mended/2/model.onnx');
    writeFileSync(path, readFileSync(irisPath(2)).subarray(0, 200));
    await waitUntil('it is refused', () => log().includes('refused, the old version stays live'));
    expect(await answeringVersion('mended')).to.equal(1);
    copyFileSync(irisPath(2), `${path}.part`);
    renameSync(`${path}.part`, path);
    await untilLive('mended', 2);
  });
});
