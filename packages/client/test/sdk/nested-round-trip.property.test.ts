/** Properties: what goes in nested comes out the same, for every datatype and shape. */
import {
  type Datatype,
  elementCount,
  fromHalfArray,
  type NumericDatatype,
  type Tensor,
  viewAs,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { convertInput } from '../../src/sdk/convert-input.js';
import { tensor } from '../../src/sdk/input-tensor.js';

const elements: Readonly<Record<Datatype, fc.Arbitrary<number | bigint | boolean | string>>> = {
  BOOL: fc.boolean(),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP16: fc.integer({ min: -2_048, max: 2_048 }),
  FP32: fc.float(),
  FP64: fc.double(),
  BYTES: fc.string({ unit: 'grapheme' }),
};

const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });

function nest(shape: readonly number[], values: readonly unknown[]): unknown {
  let index = 0;
  const walk = (axis: number): unknown =>
    axis === shape.length ? values[index++] : Array.from({ length: shape[axis] ?? 0 }, () => walk(axis + 1));
  return walk(0);
}

function values(sent: Tensor): unknown[] {
  if (!(sent.data instanceof Uint8Array)) return [...sent.data];
  const array = viewAs(sent.datatype as NumericDatatype, sent.data);
  if (sent.datatype === 'FP16') return Array.from(fromHalfArray(array as Uint16Array));
  const list: unknown[] = Array.from(array as ArrayLike<unknown>);
  return sent.datatype === 'BOOL' ? list.map((one) => one === 1) : list;
}

const datatypes = Object.keys(elements) as Datatype[];

/** A shape, and as many elements as it takes. */
const filled = (datatype: Datatype) =>
  shapes.chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.array(elements[datatype], { minLength: elementCount(shape), maxLength: elementCount(shape) }),
    ),
  );

describe('any nested array round-trips', () => {
  for (const datatype of datatypes) {
    it(`${datatype}, nested as its shape`, () => {
      fc.assert(
        fc.property(filled(datatype), ([shape, flat]) => {
          // An empty dimension hides those behind it: no nested array can tell [0,3] from [0].
          const seen = shape.includes(0) ? shape.slice(0, shape.indexOf(0) + 1) : shape;
          const sent = convertInput({ name: 'x', datatype, shape: undefined }, nest(shape, flat));
          expect(sent.shape).to.deep.equal(seen);
          expect(values(sent)).to.deep.equal(flat);
        }),
        { numRuns: 60 },
      );
    });

    it(`${datatype}, flat with its shape said by tensor()`, () => {
      fc.assert(
        fc.property(filled(datatype), ([shape, flat]) => {
          const sent = convertInput({ name: 'x', datatype, shape: undefined }, tensor(flat, shape));
          expect(sent.shape).to.deep.equal(shape);
          expect(values(sent)).to.deep.equal(flat);
        }),
        { numRuns: 60 },
      );
    });
  }
});
