import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { printInTurn } from '../../deploy/local/in-turn.mjs';
import { countOutcomes, mochaArguments, testFault } from '../../deploy/local/mocha-process.mjs';
import { formatCounts, suiteParts, sumUp } from '../../deploy/local/run-tests.mjs';

describe('npm test', () => {
  const end = (letters: string, code: number | null = 0, lingered = false) => ({
    counts: countOutcomes(letters),
    code,
    lingered,
  });

  it('runs the whole suite, or just the files that are named', () => {
    const whole = ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'];
    expect(suiteParts([], 1)).to.deep.equal([whole]);
    expect(suiteParts(['--grep', 'dead'], 2)).to.deep.equal([['--grep', 'dead', ...whole]]);
    const named = ['test/launch/lock.test.ts', '--grep', 'dead'];
    expect(suiteParts(named, 2)).to.deep.equal([named]);
  });

  it('runs it as two processes side by side where there are two cores, each file in one of them', () => {
    const [first = [], second = [], ...more] = suiteParts([], 2);
    expect(more).to.deep.equal([]);
    const [packages, ...moved] = first;
    const [everything, ...left] = second;
    expect([[packages, everything]]).to.deep.equal(suiteParts([], 1));
    expect(moved).to.not.deep.equal([]);
    expect(left).to.deep.equal(moved.map((files) => `--ignore=${files}`));
    for (const files of moved) {
      const folder = new URL(`../../${files.slice(0, files.indexOf('*'))}`, import.meta.url);
      expect(readdirSync(folder).join(' '), files).to.include('.test.ts');
    }
  });

  it('gives mocha its settings', () => {
    const settings = { 'node-option': ['import=tsx'], timeout: 30_000 };
    const given = mochaArguments(settings, ['--bail'], '/o');
    expect(given).to.include.members(['--import=tsx', '--timeout=30000', '--bail']);
    expect(given).to.include('--reporter-option=outcomes=/o');
  });

  it('ends with a line that counts what all processes did', () => {
    const counts = countOutcomes('ppfpspe');
    expect(counts).to.deep.equal({ passed: 4, failed: 1, skipped: 1, ended: true });
    const two = ['ppe', 'pfse'].map((letters) => ({ ...countOutcomes(letters), faulty: false }));
    expect(sumUp(two)).to.deep.equal({ passed: 3, failed: 1, skipped: 1 });
    expect(formatCounts(counts)).to.equal('4 passed, 1 failed, 1 skipped');
    expect(formatCounts(countOutcomes('pe'))).to.equal('1 passed, 0 failed');
  });

  it('fails where no test has run, the process died half way, or it would not end', () => {
    expect(testFault(end('pe'))).to.equal(undefined);
    expect(testFault(end('pfe', 1))).to.equal(undefined);
    expect(testFault(end('e'))).to.equal('troupe: no test has run');
    expect(testFault(end('se'))).to.equal('troupe: no test has run');
    expect(testFault(end('pp', null))).to.include('ended before its tests did');
    expect(testFault(end('ppe', null, true))).to.include('kept their process alive');
    expect(testFault(end('ppe', 7))).to.include('code 7');
  });

  it('has failed where one of its processes did so without a failed test', () => {
    const ends = ['pp', 'ppe', 'pfe'].map((letters) => ({ ...countOutcomes(letters), faulty: true }));
    expect(sumUp(ends)).to.deep.equal({ passed: 5, failed: 3, skipped: 0 });
  });
});

describe('output of processes side by side', () => {
  it("is never mixed: the first one's comes at once, the next one's behind its end", () => {
    const printed: string[] = [];
    const sink = (name: string) => ({
      write: (chunk: string | Uint8Array) => printed.push(`${name} ${String(chunk)}`),
    });
    const turns = printInTurn(3);
    turns.print(1, sink('out'), 'b1');
    turns.print(0, sink('out'), 'a1');
    turns.print(1, sink('err'), 'b2');
    turns.print(2, sink('out'), 'c1');
    expect(printed).to.deep.equal(['out a1']);
    turns.end(1);
    turns.print(0, sink('out'), 'a2');
    turns.end(0);
    expect(printed).to.deep.equal(['out a1', 'out a2', 'out b1', 'err b2', 'out c1']);
    turns.print(2, sink('out'), 'c2');
    turns.end(2);
    expect(printed.at(-1)).to.equal('out c2');
  });
});
