import { compareTensors, type Tensor, tensorFromValues } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { datatypes, tensorOf } from './tensors.js';

const exact = { absolute: 0, relative: 0 };
const floats = (...values: unknown[]): Tensor => tensorFromValues('y', 'FP32', [values.length], values);

describe('comparison of tensors', () => {
  it('every tensor equals itself, NaNs and all, without any tolerance', () => {
    const any = fc.constantFrom(...datatypes).chain((datatype) => tensorOf(datatype, false));
    fc.assert(fc.property(any, (tensor) => compareTensors(tensor, tensor, exact) === undefined));
  });

  it('floats may be off by absolute + relative × |expected|, and no more', () => {
    expect(compareTensors(floats(1.5), floats(1), { absolute: 0.5, relative: 0 })).to.equal(undefined);
    expect(compareTensors(floats(150), floats(100), { absolute: 0, relative: 0.5 })).to.equal(undefined);
    expect(compareTensors(floats(1.5), floats(1), { absolute: 0.25, relative: 0.125 })).to.equal(
      '"y" differs most at [0]: 1.5, expected 1, off by 0.5 where 0.375 is allowed (1 of 1 element differs)',
    );
    expect(compareTensors(floats(-0), floats(0), exact)).to.equal(undefined);
  });

  it('FP16 is compared by value', () => {
    const half = (value: number): Tensor => tensorFromValues('y', 'FP16', [1], [value]);
    expect(compareTensors(half(1.001), half(1), { absolute: 0.001, relative: 0 })).to.equal(undefined);
    expect(compareTensors(half(1.5), half(1), { absolute: 0.001, relative: 0 })).to.match(/1\.5, expected 1/);
  });

  it('the largest difference is told by its index', () => {
    const got = tensorFromValues('y', 'FP64', [2, 3], [0, 0, 0, 0, 9, 1]);
    const want = tensorFromValues('y', 'FP64', [2, 3], [0, 0, 0, 0, 0, 0]);
    expect(compareTensors(got, want, exact)).to.match(
      /^"y" differs most at \[1,1\]: 9, expected 0.*\(2 of 6 elements differ\)$/,
    );
  });

  it('NaN passes only where NaN is wanted, an infinity only where the same is', () => {
    const wide = { absolute: 1e30, relative: 1e30 };
    for (const [got, want] of [
      ['NaN', 1],
      [1, 'NaN'],
      ['Infinity', '-Infinity'],
      ['Infinity', 1],
      [1, 'Infinity'],
      ['NaN', 'Infinity'],
    ]) {
      expect(compareTensors(floats(5, got), floats(5, want), wide), `${got} for ${want}`).to.match(
        /differs most at \[1\]: .* \(1 of 2 elements differ\)/,
      );
    }
    expect(compareTensors(floats('NaN', 'Infinity'), floats('NaN', 'Infinity'), exact)).to.equal(undefined);
  });

  it('integers, booleans and strings must be equal whatever the tolerance', () => {
    const wide = { absolute: 100, relative: 1 };
    const one = (datatype: string, value: unknown): Tensor => tensorFromValues('y', datatype, [1], [value]);
    expect(compareTensors(one('INT64', '9007199254740993'), one('INT64', '9007199254740992'), wide)).to.match(
      /9007199254740993, expected 9007199254740992/,
    );
    expect(compareTensors(one('UINT8', 1), one('UINT8', 2), wide)).to.match(/1, expected 2/);
    expect(compareTensors(one('BOOL', true), one('BOOL', false), wide)).to.match(/1, expected 0/);
    expect(compareTensors(one('BYTES', 'a\n'), one('BYTES', 'b'), wide)).to.match(/"a\\n", expected "b"/);
  });

  it('another name, datatype or shape is told as such', () => {
    expect(compareTensors({ ...floats(1), name: 'z' }, floats(1), exact)).to.equal(
      'the tensor is called "z", expected "y"',
    );
    expect(compareTensors(tensorFromValues('y', 'FP64', [1], [1]), floats(1), exact)).to.equal(
      '"y" is FP64, expected FP32',
    );
    expect(compareTensors(floats(1, 1), floats(1), exact)).to.equal('"y" has shape [2], expected [1]');
    expect(compareTensors(tensorFromValues('y', 'FP32', [1, 1], [1]), floats(1), exact)).to.match(
      /\[1,1\], expected \[1\]/,
    );
  });
});
