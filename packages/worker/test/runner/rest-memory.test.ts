import { expect } from 'chai';
import { RestMemory } from '../../src/runner/rest-memory.js';

const mebibyte = 1024 * 1024;

describe('memory at rest', () => {
  let collected: number[];
  let used: number;
  let nowMs: number;
  let memory: RestMemory;

  beforeEach(() => {
    collected = [];
    used = 20 * mebibyte;
    nowMs = 0;
    memory = new RestMemory({
      collect: () => {
        collected.push(nowMs);
        used = 10 * mebibyte;
      },
      heapUsed: () => used,
    });
  });

  /** Looks four times a second, for so long. */
  function pass(ms: number, work: (atMs: number) => number | undefined) {
    for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 250) memory.look(work(nowMs), nowMs);
  }

  it('collects twice, two and five seconds after the last work, and then no more', () => {
    pass(1_000, (atMs) => atMs);
    pass(60_000, () => 750);
    expect(collected).to.deep.equal([2_750, 5_750]);
  });

  it('lets be who has something to do, however little', () => {
    pass(30_000, (atMs) => Math.floor(atMs / 1_500));
    pass(30_000, () => undefined);
    expect(collected).to.deep.equal([]);
  });

  it('does not collect again for next to nothing', () => {
    pass(10_000, () => 1);
    expect(collected).to.have.length(2);
    used += mebibyte;
    pass(10_000, () => 2);
    expect(collected).to.have.length(2);
    used += 4 * mebibyte;
    pass(10_000, () => 3);
    expect(collected).to.have.length(4);
  });

  it('does nothing where V8 does not show its collector', () => {
    const blind = new RestMemory({ collect: undefined, heapUsed: () => used });
    for (let atMs = 0; atMs < 10_000; atMs += 250) blind.look(1, atMs);
    expect(collected).to.deep.equal([]);
  });
});
