import { expect } from 'chai';
import { Suspects } from '../../src/host/suspects.js';

describe('the suspects of a worker', () => {
  it('are remembered for as long as a request may be awaited', () => {
    const suspects = new Suspects();
    suspects.add([1, 2], 0);
    suspects.add([2, 3], 200_000);
    expect(suspects.list(299_999)).to.deep.equal([1, 2, 3]);
    expect(suspects.list(300_000)).to.deep.equal([2, 3]);
    expect(suspects.list(500_000)).to.deep.equal([]);
  });

  it('are never more than a bound: the oldest go', () => {
    const suspects = new Suspects();
    suspects.add(
      Array.from({ length: 5_000 }, (_, index) => index),
      0,
    );
    const all = suspects.list(1);
    expect(all).to.have.length(4_096);
    expect(all[0]).to.equal(904);
  });
});
