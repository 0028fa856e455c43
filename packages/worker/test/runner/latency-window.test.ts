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
    window.record(1, 0);
    window.record(100, 20_000);
    window.record(1, 79_000);
    expect(window.percentile(0.99, 79_000)).to.be.above(90);
    expect(window.percentile(0.99, 81_000)).to.be.below(2);
    expect(window.percentile(0.99, 300_000)).to.equal(undefined);
  });

  it('shows what a fresh process does, has nobody judge by it, and forgets it once it has settled', () => {
    const busy = createLatencyWindow();
    for (let at = 0; at < 1_000; at += 1) busy.record(80, at);
    expect(busy.percentile(0.99, 999)).to.be.above(75);
    expect(busy.samples(999)).to.equal(0);
    for (let at = 0; at < 300; at += 1) busy.record(2, 1_000 + at);
    expect(busy.samples(1_300)).to.equal(300);
    expect(busy.percentile(0.99, 1_300)).to.be.below(2.3);

    const calm = createLatencyWindow();
    for (const at of [0, 2_000, 9_999]) calm.record(80, at);
    expect(calm.samples(9_999)).to.equal(0);
    for (const at of [10_000, 12_000]) calm.record(2, at);
    expect(calm.samples(12_000)).to.equal(2);
    expect(calm.percentile(0.99, 12_000)).to.be.below(2.3);
  });
});
