/** The drills `swap` and `rollback` in their short form: the promises and the shape of the outcome, never times. */
import { expect } from 'chai';
import { startCluster, type TestCluster } from '../harness/cluster.js';
import type { Drill } from './drill.js';
import { rollbackDrill } from './rollback.js';
import { swapDrill } from './swap.js';

describe('a drill', function () {
  this.timeout(240_000);
  let cluster: TestCluster | undefined;
  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  const run = (drill: Drill) =>
    drill({
      progress: { line: () => undefined, step: (_text, work) => work(() => undefined) },
      signal: new AbortController().signal,
      short: true,
      startCluster: async (options) => {
        cluster = await startCluster(options);
        return cluster;
      },
    });

  it('swaps good versions and takes bad ones back, each for the right cause, without a failed or wrong answer', async () => {
    const { faults, figures } = await run(swapDrill);
    expect(figures).to.include({ failed: 0, wrong: 0, lost: 0, swaps: 3 });
    expect(figures.requests).to.be.greaterThan(100);
    expect(figures.bad).to.have.all.keys(
      'errors_on_inputs',
      'truncated',
      'dies_on_inputs',
      'other_signature',
    );
    // What is left are promises about time and memory, which a run this short cannot keep or break.
    expect(faults.filter((fault) => !/^(p99|memory) /.test(fault))).to.deep.equal([]);
  });

  it('rolls back by crash, by order and to a cold snapshot, and tells what each flip took', async () => {
    const { faults, figures } = await run(rollbackDrill);
    expect(figures).to.include({ failed: 0, wrong: 0, lost: 0 });
    expect(figures.by_crash).to.have.property('times').within(0, 2);
    expect(figures.cold_ms, 'none where nothing was left to answer').to.have.length.at.most(1);
    expect(faults.filter((fault) => !fault.startsWith('p99 '))).to.deep.equal([]);
  });
});
