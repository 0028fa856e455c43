import { expect } from 'chai';
import fc from 'fast-check';
import { BatchPace } from '../../src/runner/batch-pace.js';

const key = 'FP32;["y"]';

/** Teaches what runs of all sizes take. */
const paceOf = (maxRows: number, runMs: (rows: number) => number): BatchPace => {
  const pace = new BatchPace(maxRows);
  for (const rows of pace.sizes) pace.learn(key, rows, runMs(rows));
  return pace;
};

/** Runs batches as they are asked for. */
const serve = (pace: BatchPace, runs: number, runMs: (rows: number) => number): void => {
  for (let run = 0; run < runs; run += 1) {
    const rows = pace.enoughRows(key);
    pace.note(key, rows, runMs(rows));
  }
};

const convolution = (rows: number) => 5 * rows;
const dense = (rows: number) => 4 + 0.1 * rows;

describe('batch pace', () => {
  it('compares powers of two and the most rows that a run may hold', () => {
    expect(new BatchPace(32).sizes).to.deep.equal([1, 2, 4, 8, 16, 32]);
    expect(new BatchPace(24).sizes).to.deep.equal([1, 2, 4, 8, 16, 24]);
    expect(new BatchPace(1).sizes).to.deep.equal([1]);
  });

  it('takes nothing from a model of which nothing is known, or not how its largest runs do (Q1)', () => {
    const pace = new BatchPace(32);
    expect(pace.enoughRows(key)).to.equal(32);
    pace.learn(key, 1, 5);
    pace.learn(key, 2, 10);
    expect(pace.enoughRows(key)).to.equal(32);
  });

  it('asks for all rows where each makes the others cheaper', () => {
    expect(paceOf(32, dense).enoughRows(key)).to.equal(32);
  });

  it('asks for few rows where company brings nothing', () => {
    expect(paceOf(32, convolution).enoughRows(key)).to.be.at.most(4);
  });

  it('knows each kind of request by itself', () => {
    const pace = paceOf(32, convolution);
    expect(pace.enoughRows('another')).to.equal(32);
  });

  it('goes on to larger runs when it has learnt that they are better after all (Q2)', () => {
    const pace = paceOf(32, convolution);
    serve(pace, 10_000, dense);
    const asked = new Set<number>();
    for (let run = 0; run < 200; run += 1) {
      asked.add(pace.enoughRows(key));
      serve(pace, 1, dense);
    }
    expect([...asked]).to.deep.equal([32]);
  });

  it('stays with its size where the machine makes all runs slower', () => {
    const pace = paceOf(32, dense);
    serve(pace, 500, (rows) => 3 * dense(rows));
    expect(pace.enoughRows(key)).to.equal(32);
  });

  it('is not led astray by a run that met something else on its processor', () => {
    const pace = paceOf(32, dense);
    pace.note(key, 32, 60_000);
    expect(pace.enoughRows(key)).to.equal(32);
  });

  it('stays between one row and the most, whatever runs take (Q1)', () => {
    const anyRun = fc.record({
      rows: fc.integer({ min: 1, max: 48 }),
      runMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 48 }), fc.array(anyRun, { maxLength: 200 }), (maxRows, runs) => {
        const pace = new BatchPace(maxRows);
        for (const { rows, runMs } of runs) {
          pace.note(key, rows, runMs);
          const enough = pace.enoughRows(key);
          expect(Number.isInteger(enough) && enough >= 1 && enough <= maxRows, `${enough} rows`).to.equal(
            true,
          );
        }
      }),
    );
  });
});
