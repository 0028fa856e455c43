import { expect } from 'chai';
import fc from 'fast-check';
import { joinSingles } from '../../src/protocol/single-text.js';

const textOf = (value: number) => joinSingles([value]);

/** Every float32 there is, all as likely. */
const anySingle = fc
  .integer({ min: 0, max: 0xffff_ffff })
  .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0] as number)
  .filter((value) => Number.isFinite(value));
/** Those that models give. */
const usualSingle = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(Math.fround);
const shortSingle = fc
  .record({ digits: fc.integer({ min: -999_999, max: 999_999 }), places: fc.nat({ max: 9 }) })
  .map(({ digits, places }) => Math.fround(digits / 10 ** places));

describe('the text of float32 numbers', () => {
  it('gives the same float32 again, its sign included, and is what JavaScript writes for the number that it says', () => {
    fc.assert(
      fc.property(fc.oneof(anySingle, usualSingle, shortSingle), (value) => {
        const text = textOf(value);
        const read = JSON.parse(text) as number;
        expect(Object.is(Math.fround(read), value), `${value} as ${text}`).to.equal(true);
        expect(text).to.equal(Object.is(read, -0) ? '-0' : JSON.stringify(read));
      }),
      { numRuns: 5_000 },
    );
  });

  it('is as short as what was meant, up to six digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999 }), fc.nat({ max: 8 }), (digits, places) => {
        const meant = digits / 10 ** places;
        expect(textOf(Math.fround(meant))).to.equal(JSON.stringify(meant));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is right at the ends: zeros, powers of ten and two, the smallest and the largest', () => {
    const values = [
      0,
      -0,
      1,
      -1,
      1e-6,
      1e-7,
      9.999999e-7,
      0.001,
      1e9,
      999_999_936,
      1e10,
      2 ** -149,
      2 ** -126,
      16_777_217,
    ];
    const singles = [...values, 3.4028234663852886e38, 1e21, 123_456.79, -0.1, 1 / 3].map(Math.fround);
    for (const value of singles) {
      expect(Object.is(Math.fround(JSON.parse(textOf(value)) as number), value), textOf(value)).to.equal(
        true,
      );
    }
    expect(joinSingles([])).to.equal('');
  });

  it('separates as many as there are, across all pieces of memory', () => {
    for (const length of [4_095, 4_096, 4_097, 8_192, 20_000]) {
      const values = Float32Array.from({ length }, (_, index) => (index - 7) / 3);
      expect(Float32Array.from(JSON.parse(`[${joinSingles(values)}]`) as number[])).to.deep.equal(values);
    }
  });
});
