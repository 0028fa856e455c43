import { expect } from 'chai';
import fc from 'fast-check';
import { createLatencyWindow } from '../../src/runner/latency-window.js';

describe('latency window', () => {
  it('is within 10 % of the true percentile', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 50_000, noNaN: true }), { minLength: 1 }), (all) => {
        const window = createLatencyWindow();
        for (const latency of all) window.record(latency, 1_000);
        const sorted = all.toSorted((left, right) => left - right);
        for (const ratio of [0.5, 0.99]) {
          const exact = sorted[Math.ceil(sorted.length * ratio) - 1] ?? 0;
          const got = window.percentile(ratio, 1_000) ?? 0;
          expect(got).to.be.within(exact / 1.0001, exact * 1.1001);
        }
      }),
    );
  });

  it('forgets what is older than a minute, and says nothing where nothing happened', () => {
    const window = createLatencyWindow();
    expect(window.percentile(0.5, 0)).to.equal(undefined);
    window.record(100, 0);
    window.record(1, 59_000);
    expect(window.percentile(0.99, 59_000)).to.be.above(90);
    expect(window.percentile(0.99, 61_000)).to.be.below(2);
    expect(window.percentile(0.99, 300_000)).to.equal(undefined);
  });
});
