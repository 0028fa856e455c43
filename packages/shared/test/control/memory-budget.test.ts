import {
  budgetOf,
  chargeMemory,
  estimateMemory,
  parseBytes,
  parseMemoryBudgets,
  readEnvironment,
  TroupeError,
} from '@troupe/shared';
import { expect } from 'chai';

const mebibyte = 1024 ** 2;

describe('memory budgets', () => {
  for (const [text, bytes] of [
    ['1048576', mebibyte],
    ['600MiB', 600 * mebibyte],
    ['600 mib', 600 * mebibyte],
    ['600M', 600 * mebibyte],
    ['600MB', 600e6],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['2GB', 2e9],
  ] as const) {
    it(`reads ${text}`, () => {
      expect(parseBytes(text)).to.equal(bytes);
    });
  }

  for (const text of ['', '0', '-1', '1.5.2G', '10 potatoes', 'GiB', '1e9', '99999999999999999G', 'NaN']) {
    it(`refuses ${JSON.stringify(text)} and says how an amount is written`, () => {
      expect(() => parseBytes(text)).to.throw(TroupeError, /600MiB/);
    });
  }

  it('one amount is for every device, one with a name for that device', () => {
    const one = parseMemoryBudgets('2GiB');
    expect(budgetOf(one, 'cpu:0')).to.equal(2 * 1024 ** 3);
    const some = parseMemoryBudgets('cpu:0=600MiB, cuda:0=20GiB');
    expect(budgetOf(some, 'cpu:0')).to.equal(600 * mebibyte);
    expect(budgetOf(some, 'cuda:0')).to.equal(20 * 1024 ** 3);
    expect(budgetOf(some, 'cpu:1')).to.equal(undefined);
    const both = parseMemoryBudgets('cuda:0=20GiB,1GiB');
    expect(budgetOf(both, 'cpu:7')).to.equal(1024 ** 3);
    expect(budgetOf(undefined, 'cpu:0')).to.equal(undefined);
  });

  for (const text of ['1GiB,2GiB', 'cpu:0=1GiB,cpu:0=2GiB', 'gpu=1GiB', 'cpu:0=', '=1GiB', 'cpu:0:1GiB']) {
    it(`refuses ${text}`, () => {
      expect(() => parseMemoryBudgets(text)).to.throw(TroupeError);
    });
  }

  it('a wrong one ends the start, naming the variable', () => {
    expect(() => readEnvironment({ TROUPE_MEMORY_BUDGET: 'lots' })).to.throw(
      TroupeError,
      /^TROUPE_MEMORY_BUDGET: "lots"/,
    );
    expect(readEnvironment({}).memoryBudgets).to.equal(undefined);
  });

  it('a worker counts with what was measured once that is more than was expected', () => {
    const version = { sizeBytes: 10 * mebibyte, memoryBytes: 70 * mebibyte };
    const expected = estimateMemory(version, 'cpu:0');
    expect(expected).to.be.greaterThan(version.memoryBytes);
    expect(chargeMemory(expected, undefined)).to.equal(expected);
    expect(chargeMemory(expected, 50 * mebibyte)).to.equal(expected);
    expect(chargeMemory(expected, expected + 1)).to.equal(expected + 1);
  });

  it('a version whose trial told nothing counts with its file and a runner', () => {
    const small = estimateMemory({ sizeBytes: 1 }, 'cpu:0');
    const large = estimateMemory({ sizeBytes: 1 + 100 * mebibyte }, 'cpu:0');
    expect(large - small).to.equal(200 * mebibyte);
    expect(small).to.be.greaterThan(50 * mebibyte);
    expect(estimateMemory({ sizeBytes: 1, memoryBytes: 2 }, 'cuda:0')).to.be.greaterThan(500 * mebibyte);
  });
});
