/** More models than memory, on a whole cluster: they come when they are asked for, and go. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorReason, type Residency, type TroupeClient, TroupeError } from '@troupe/client';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { waitUntil } from '../harness/wait-until.js';

const flower = new Float32Array([5.1, 3.5, 1.4, 0.2]);
const bytes = readFileSync(join(repositoryRoot, 'deploy/models/iris/v1/model.onnx'));
/** Holds one runner of a tiny model, and not two. */
const budget = '150MiB';

describe('more models than memory', function () {
  this.timeout(150_000);
  let cluster: TestCluster;
  let client: TroupeClient;

  before(async () => {
    cluster = await startCluster({ devices: 'cpu:0', env: { TROUPE_MEMORY_BUDGET: budget } });
    client = await cluster.connect();
  });
  after(() => cluster?.stop());
  const printLogs = printLogsOnFailure(() => cluster);
  afterEach(async function () {
    printLogs.call(this);
    for (const { name } of await client.models()) await client.deleteModel(name);
    await waitUntil('all are gone', async () => (await client.workers()).length === 0, { timeoutMs: 30_000 });
  });

  const push = (name: string, residency: Residency, idleMs?: number) =>
    client.registerModel({
      name,
      bytes,
      residency,
      replicas: 1,
      ...(idleMs === undefined ? {} : { idleMs }),
    });
  const ask = (name: string) => client.infer(name, flower, { deadlineMs: 60_000 });
  const loaded = async () => (await client.workers()).map(({ model }) => model);
  const stateOf = async (name: string) => (await client.model(name)).versions[0]?.state;
  async function reasonOf(call: Promise<unknown>): Promise<ErrorReason | undefined> {
    try {
      await call;
      return undefined;
    } catch (error) {
      if (error instanceof TroupeError) return error.reason;
      throw error;
    }
  }

  it('a request waits while its model is loaded, by the SDK and by plain NATS, and one that is idle goes', async () => {
    await push('ash', 'on_demand', 1_500);
    expect(await loaded()).to.deep.equal([]);
    expect((await ask('ash')).outputs.probabilities?.data[0]).to.be.greaterThan(0.9);
    await waitUntil('the list says so', async () => (await stateOf('ash')) === 'ready');
    await waitUntil('it is idle and gone', async () => (await loaded()).length === 0, { timeoutMs: 30_000 });
    await waitUntil('the list says so', async () => (await stateOf('ash')) === 'cold');
    const plain = await cluster.connectBare();
    const request = { inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [...flower] }] };
    const answer = await plain.request('troupe.infer.ash', JSON.stringify(request), {
      headers: { 'Troupe-Budget-Ms': '60000' },
      timeoutMs: 60_000,
    });
    expect(JSON.parse(answer.payload.toString('utf8'))).to.include({ model_name: 'ash' });
  });

  it('requests to two models that never fit together are all answered, whoever gives way meanwhile', async () => {
    await push('ash', 'on_demand');
    await push('birch', 'always');
    const lane = async (name: string) => {
      for (let count = 0; count < 3; count += 1) {
        const answers = await Promise.all([ask(name), ask(name)]);
        for (const { outputs } of answers) expect(outputs.probabilities?.data[0]).to.be.greaterThan(0.9);
      }
    };
    await Promise.all([lane('ash'), lane('birch')]);
    expect(await loaded()).to.have.length.below(3);
  });

  it('several models on demand that never fit together are asked at once, again and again: none is refused', async () => {
    const names = ['ash', 'birch', 'cedar', 'dogwood'];
    for (const name of names) await push(name, 'on_demand');
    const lane = async (name: string) => {
      for (let count = 0; count < 3; count += 1) {
        const { outputs } = await client.infer(name, flower, { deadlineMs: 120_000 });
        expect(outputs.probabilities?.data[0]).to.be.greaterThan(0.9);
      }
    };
    // Two for each: what comes while others are in the queue already is refused just as little.
    await Promise.all([...names, ...names].map(lane));
  });

  it('a pinned model stays, and what finds no room because of it is refused as short of memory', async () => {
    await push('ash', 'pinned');
    expect(await loaded()).to.deep.equal(['ash']);
    await client.registerModel({ name: 'birch', bytes, residency: 'on_demand', waitUntilServingMs: 0 });
    await waitUntil('its door says why', async () => (await stateOf('birch')) === 'unplaced', {
      timeoutMs: 30_000,
    });
    await waitUntil('it is refused', async () => (await reasonOf(ask('birch'))) === 'placement.no_memory', {
      timeoutMs: 30_000,
    });
    expect(await loaded()).to.deep.equal(['ash']);
    await client.setResidency('ash', 'always');
    await waitUntil('there is room again', async () => (await reasonOf(ask('birch'))) === undefined, {
      timeoutMs: 30_000,
      everyMs: 200,
    });
    await waitUntil('the other has gone', async () => (await loaded()).join() === 'birch');
  });

  it('a new version without room beside the old one is refused with what is needed, free, and the budget', async () => {
    await push('ash', 'always');
    const next = readFileSync(join(repositoryRoot, 'deploy/models/iris/v2/model.onnx'));
    const { version } = await client.registerModel({ name: 'ash', bytes: next, replicas: 1 });
    let said = '';
    const refused = client.startRollout('ash', version).catch((error: TroupeError) => {
      said = error.message;
      throw error;
    });
    expect(await reasonOf(refused)).to.equal('rollout.no_room');
    expect(said).to.match(/\d+ MiB are needed, \d+ MiB are free, of a budget of 150 MiB/);
    expect((await ask('ash')).outputs.probabilities?.data[0]).to.be.greaterThan(0.9);
  });

  it('a request that waits for its model outlives the leader', async () => {
    await push('ash', 'on_demand');
    await cluster.startCoordinator();
    const answer = ask('ash');
    await cluster.coordinators[0]?.kill();
    expect((await answer).outputs.probabilities?.data[0]).to.be.greaterThan(0.9);
  });
});
