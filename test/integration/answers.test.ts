/** Many requests through every process: each gets its own answer, and they are merged into batches. */
import type { TroupeClient, WorkerSummary } from '@troupe/client';
import { identityModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { startCluster, type TestCluster } from '../harness/cluster.js';
import { startIrisLoad, summarize } from '../harness/iris-load.js';
import { registerIris } from '../harness/iris-model.js';
import { waitUntil } from '../harness/wait-until.js';

describe('10,000 requests at 64 in flight', function () {
  this.timeout(120_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ hosts: 1, devices: 'cpu:0,cpu:1' });
  });

  after(() => cluster.stop());

  it('are answered as ONNX Runtime answers when called directly, none lost, in batches of more than four', async () => {
    const client = await cluster.connect();
    try {
      await registerIris(client);
      const before = await client.workers();
      const load = await startIrisLoad(client, { inFlight: 64, total: 10_000 });
      expect(summarize(await load.stop())).to.deep.equal({ right: 10_000, wrong: 0, errors: [] });
      const count = (workers: readonly WorkerSummary[], field: 'rows' | 'batches') =>
        workers.reduce((sum, worker) => sum + worker[field], 0);
      // The report travels with the lease: wait for one that covers the last request.
      const after = await waitUntil('the reports cover every request', async () => {
        const workers = await client.workers();
        return count(workers, 'rows') - count(before, 'rows') >= 10_000 && workers;
      });
      const rows = count(after, 'rows') - count(before, 'rows');
      const batches = count(after, 'batches') - count(before, 'batches');
      expect(rows).to.be.at.least(10_000);
      expect(rows / batches).to.be.greaterThan(4);
    } finally {
      await client.close();
    }
  });
});

/** Their memory is used again, on both sides: whoever looks into it for longer than he may finds somebody else's numbers. */
describe('large requests, each with numbers of its own', function () {
  this.timeout(120_000);
  const columns = 25_000; // 100 kB
  let cluster: TestCluster;
  let client: TroupeClient;

  before(async () => {
    cluster = await startCluster({ hosts: 1, devices: 'cpu:0,cpu:1' });
    client = await cluster.connect();
    await client.registerModel({
      name: 'mirror',
      bytes: identityModel({ dims: ['N', columns] }),
      replicas: 2,
      maxBatchSize: 4,
    });
  });

  after(async () => {
    await client.close();
    await cluster.stop();
  });

  /** Asks with 1 to 3 rows that begin at `seed`, and looks at every number of the answer. */
  async function ask(seed: number, signal?: AbortSignal): Promise<'right' | 'wrong' | 'cancelled'> {
    const rows = 1 + (seed % 3);
    const data = Float32Array.from({ length: rows * columns }, (_, at) => seed * 1_000 + at);
    try {
      const answer = await client.infer(
        'mirror',
        { input: { data, shape: [rows, columns], datatype: 'FP32' } },
        signal === undefined ? {} : { signal },
      );
      const given = answer.outputs.output?.data as Float32Array;
      return given.length === data.length && given.every((value, at) => value === data[at])
        ? 'right'
        : 'wrong';
    } catch (error) {
      if (signal?.aborted === true) return 'cancelled';
      throw error;
    }
  }

  it('get their own answers, with others cancelled between them, and one runner killed', async () => {
    const counts = { right: 0, wrong: 0, cancelled: 0 };
    let next = 0;
    const drive = async () => {
      while (next < 600) {
        const seed = next++;
        if (seed === 300) process.kill(cluster.hosts[0]?.runnerPids()[0] ?? Number.NaN, 'SIGKILL');
        if (seed % 7 === 0) {
          const controller = new AbortController();
          const asked = ask(seed, controller.signal);
          setTimeout(() => controller.abort(), seed % 20);
          counts[await asked] += 1;
        } else counts[await ask(seed)] += 1;
      }
    };
    await Promise.all(Array.from({ length: 24 }, drive));
    expect(counts.wrong).to.equal(0);
    expect(counts.right).to.be.at.least(514);
    expect(counts.right + counts.cancelled).to.equal(600);
  });
});
