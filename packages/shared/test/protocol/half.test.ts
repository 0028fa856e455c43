import { fromHalfArray, fromHalfBits, toHalfArray, toHalfBits } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';

describe('half precision', () => {
  it('every one of the 65,536 halves comes back as the same bits, every NaN as a NaN', () => {
    for (let bits = 0; bits <= 0xffff; bits += 1) {
      const value = fromHalfBits(bits);
      if (Number.isNaN(value)) {
        expect(bits & 0x7fff).to.be.above(0x7c00);
        expect(toHalfBits(value)).to.equal(0x7e00);
      } else if (toHalfBits(value) !== bits) {
        expect.fail(
          `0x${bits.toString(16)} is ${value}, and came back as 0x${toHalfBits(value).toString(16)}`,
        );
      }
    }
  });

  it('the landmarks of IEEE 754 have their values', () => {
    const landmarks: [number, number][] = [
      [0x0000, 0],
      [0x8000, -0],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
      [0x3bff, 0.99951171875],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
    ];
    for (const [bits, value] of landmarks) {
      expect(Object.is(fromHalfBits(bits), value), `from 0x${bits.toString(16)}`).to.equal(true);
      expect(toHalfBits(value), `to ${value}`).to.equal(bits);
    }
  });

  it('ties go to the even half, and rounding happens once', () => {
    const rounded: [number, number][] = [
      [2 ** -25, 0x0000],
      [2 ** -25 * (1 + 2 ** -52), 0x0001],
      [1.5 * 2 ** -24, 0x0002],
      [2 ** -14 - 2 ** -25, 0x0400],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      // By way of float32 this one would round to a tie first, and then down.
      [1 + 2 ** -11 + 2 ** -40, 0x3c01],
      [65519.999, 0x7bff],
      [65520, 0x7c00],
      [-65520, 0xfc00],
      [5e-324, 0x0000],
      [-5e-324, 0x8000],
      [Number.MAX_VALUE, 0x7c00],
    ];
    for (const [value, bits] of rounded) expect(toHalfBits(value), String(value)).to.equal(bits);
  });

  it('no other half is nearer', () => {
    fc.assert(
      fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const bits = toHalfBits(value);
        const off = Math.abs(fromHalfBits(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          if ((neighbour & 0x7c00) === 0x7c00 || neighbour < 0) continue;
          expect(Math.abs(fromHalfBits(neighbour) - value)).to.be.at.least(off);
        }
      }),
    );
  });

  it('arrays are converted as their elements are', () => {
    const values = [0, -0, 1.5, 65504, Number.NaN, 1e9];
    expect([...toHalfArray(values)]).to.deep.equal(values.map(toHalfBits));
    expect([...fromHalfArray(toHalfArray(values))]).to.deep.equal([
      0,
      -0,
      1.5,
      65504,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ]);
  });
});
