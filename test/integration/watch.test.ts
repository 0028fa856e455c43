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
    mkdirSync(join(folder, 'iris/1'), { recursive: true });
    copyFileSync(irisPath(1), join(folder, 'iris/1/model.onnx'));
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

  const answeringVersion = async () => {
    try {
      return (await client.infer('iris', { input: setosa })).version;
    } catch {
      return undefined;
    }
  };
  const untilLive = (version: number) =>
    waitUntil(`version ${version} answers`, async () => (await answeringVersion()) === version, {
      timeoutMs: 40_000,
    });
  const log = () => cluster.hosts[0]?.log() ?? '';

  it('serves what is in it at the start, and says what it leaves out', async () => {
    await untilLive(1);
    expect(log()).to.include('empty has no version folder');
  });

  it('rolls a new version out, once it is written completely', async () => {
    const half = readFileSync(irisPath(2));
    const path = join(folder, 'iris/2/model.onnx');
    mkdirSync(join(folder, 'iris/2'));
    writeFileSync(path, half.subarray(0, 100));
    await new Promise((resolve) => setTimeout(resolve, 300));
    appendFileSync(path, half.subarray(100));
    await untilLive(2);
    expect(log()).to.not.include('refused, the old version stays live');
  });

  it('keeps the old version where the new file is broken, and takes the mended one', async () => {
    mkdirSync(join(folder, 'iris/3'));
    const path = join(folder, 'iris/3/model.onnx');
    writeFileSync(path, readFileSync(irisPath(1)).subarray(0, 200));
    await waitUntil('it is refused', () => log().includes('refused, the old version stays live'), {
      timeoutMs: 20_000,
    });
    expect(await answeringVersion()).to.equal(2);
    // The rollout of version 2 may still bake: a newer file waits for its end.
    copyFileSync(irisPath(1), `${path}.part`);
    renameSync(`${path}.part`, path);
    await untilLive(1);
  });
});
