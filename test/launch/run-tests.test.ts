import { expect } from 'chai';
import { countOutcomes, formatCounts, mochaArguments, testFault } from '../../deploy/local/run-tests.mjs';

describe('npm test', () => {
  const settings = { 'node-option': ['import=tsx'], timeout: 30_000 };
  const ended = { code: 0, lingered: false };

  it('runs the whole suite, or just the files that are named', () => {
    expect(mochaArguments(settings, [], '/o')).to.include.members([
      '--import=tsx',
      '--timeout=30000',
      'test/**/*.test.ts',
    ]);
    const named = mochaArguments(settings, ['test/launch/lock.test.ts', '--grep', 'dead'], '/o');
    expect(named).to.include.members(['test/launch/lock.test.ts', '--grep', 'dead']);
    expect(named).to.not.include('test/**/*.test.ts');
    expect(mochaArguments(settings, ['--grep', 'dead'], '/o')).to.include('test/**/*.test.ts');
  });

  it('ends with a line that counts', () => {
    const counts = countOutcomes('ppfpspe');
    expect(counts).to.deep.equal({ passed: 4, failed: 1, skipped: 1, ended: true });
    expect(formatCounts(counts)).to.equal('4 passed, 1 failed, 1 skipped');
    expect(formatCounts(countOutcomes('pe'))).to.equal('1 passed, 0 failed');
  });

  it('fails where no test has run, the process died half way, or it would not end', () => {
    expect(testFault(countOutcomes('pe'), ended)).to.equal(undefined);
    expect(testFault(countOutcomes('pfe'), { ...ended, code: 1 })).to.equal(undefined);
    expect(testFault(countOutcomes('e'), ended)).to.equal('troupe: no test has run');
    expect(testFault(countOutcomes('se'), ended)).to.equal('troupe: no test has run');
    expect(testFault(countOutcomes('pp'), { ...ended, code: null })).to.include('ended before its tests did');
    expect(testFault(countOutcomes('ppe'), { code: null, lingered: true })).to.include(
      'kept their process alive',
    );
    expect(testFault(countOutcomes('ppe'), { ...ended, code: 7 })).to.include('code 7');
  });
});
