/** The drill in its short form: that the promise is kept, and that its outcome has what the page of figures needs. */
import { expect } from 'chai';
import { createProgress } from '../../deploy/local/progress.mjs';
import { startCluster, type TestCluster } from '../harness/cluster.js';
import { outcomeLine } from './drill.js';
import { residencyDrill } from './residency.js';

describe('the drill residency', function () {
  this.timeout(300_000);
  const clusters: TestCluster[] = [];
  after(() => Promise.all(clusters.map((cluster) => cluster.stop())));

  it('answers every request to models that come and go, and never takes more than the budget', async () => {
    const outcome = await residencyDrill({
      progress: createProgress({ write: () => undefined }),
      signal: new AbortController().signal,
      short: true,
      startCluster: async (options) => {
        const cluster = await startCluster(options);
        clusters.push(cluster);
        return cluster;
      },
    });
    expect(outcome.faults).to.deep.equal([]);
    const line = JSON.parse(outcomeLine('residency', outcome, 1)) as Record<string, unknown>;
    expect(line).to.deep.include({ drill: 'residency', ok: true, failed: 0, wrong: 0, models: 3, held: 2 });
    const table = line.table as Record<string, unknown>[];
    expect(table.map(({ residency }) => residency)).to.deep.equal(['always', 'on_demand', 'prefetched']);
    for (const row of table) {
      expect(row.peakMiB).to.be.greaterThan(0);
      expect(row.firstAnswerP50Ms).to.be.greaterThan(0);
    }
    const soak = line.soak as Record<string, number>;
    expect(soak.peakMiB).to.be.within(1, soak.budgetMiB ?? 0);
    expect(soak.loads, 'the budget holds two: more came and went').to.be.greaterThan(2);
  });
});
