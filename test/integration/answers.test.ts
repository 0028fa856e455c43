/** Many requests through every process: each gets its own answer, and they are merged into batches. */
import type { WorkerSummary } from '@troupe/client';
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
