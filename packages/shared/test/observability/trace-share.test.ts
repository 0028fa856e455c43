import { expect } from 'chai';
import { TraceShare } from '../../src/observability/trace-share.js';

/** A share whose draws alternate between chosen and not, and how many there were. */
function alternating() {
  const drawn = { count: 0 };
  const share = new TraceShare(0.5, () => {
    drawn.count += 1;
    return drawn.count % 2 === 1 ? 0.1 : 0.9;
  });
  return { share, drawn };
}

describe('the share of the calls that is put to OpenTelemetry', () => {
  it('is decided once for calls that follow each other at once', () => {
    const { share, drawn } = alternating();
    const chosen = Array.from({ length: 10 }, (_, index) => share.choose(1_000 + index * 0.01));
    expect(chosen).to.deep.equal(Array.from({ length: 10 }, () => true));
    expect(drawn.count).to.equal(1);
  });

  it('is decided anew for a call that comes alone', () => {
    const { share } = alternating();
    expect([1_000, 1_000.3, 1_000.6, 1_000.9].map((nowMs) => share.choose(nowMs))).to.deep.equal([
      true,
      false,
      true,
      false,
    ]);
  });

  it('is not all or nothing for thousands of calls in one turn', () => {
    const { share } = alternating();
    const chosen = Array.from({ length: 1_600 }, (_, index) => share.choose(1_000 + index * 0.01));
    expect(chosen.filter(Boolean)).to.have.length(800);
    const longestRun = Math.max(
      ...chosen
        .map(Number)
        .join('')
        .split('0')
        .map(({ length }) => length),
    );
    expect(longestRun).to.equal(16);
  });

  it('is the share that was asked for, however many come at once', () => {
    for (const together of [1, 3, 16, 50]) {
      // Spread evenly by the golden ratio, whichever of them are looked at.
      let drawn = 0;
      const share = new TraceShare(0.01, () => (drawn++ * 0.618_033_988_749) % 1);
      let nowMs = 0;
      let chosen = 0;
      const bursts = 1_600;
      for (let burst = 0; burst < bursts; burst += 1) {
        nowMs += 5;
        for (let call = 0; call < together; call += 1) if (share.choose(nowMs + call * 0.01)) chosen += 1;
      }
      expect(chosen / (bursts * together), `${together} at once`).to.be.closeTo(0.01, 0.002);
    }
  });

  it('of 0 is none, and of 1 all', () => {
    expect([0, 1, 2].some((nowMs) => new TraceShare(0).choose(nowMs))).to.equal(false);
    const all = new TraceShare(1);
    expect([0, 0.01, 1, 2].every((nowMs) => all.choose(nowMs))).to.equal(true);
  });
});
