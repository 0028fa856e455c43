import {
  type Datatype,
  datatypeBytes,
  type NumericDatatype,
  type Signature,
  type Tensor,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { assembleInputs, describeRows, orderInputs, sliceOutputs } from '../../src/runner/batch-assembly.js';

function tensor(name: string, datatype: Datatype, shape: readonly number[], seed = 0): Tensor {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const data =
    datatype === 'BYTES'
      ? Array.from({ length: count }, (_, index) => `${seed}:${index}`)
      : Uint8Array.from(
          { length: count * datatypeBytes[datatype as NumericDatatype] },
          (_, i) => seed * 31 + i,
        );
  return { name, datatype, shape, data };
}

const anyDatatype = fc.constantFrom<Datatype>('BOOL', 'FP16', 'FP32', 'INT64', 'BYTES');

describe('batch assembly', () => {
  it('gives every request back exactly the rows that it brought, for an identity', () => {
    fc.assert(
      fc.property(
        anyDatatype,
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
        (datatype, rowShape, rowCounts) => {
          const requests = rowCounts.map((rows, index) => [
            tensor('x', datatype, [rows, ...rowShape], index),
          ]);
          const joined = assembleInputs(requests);
          const slices = sliceOutputs(joined, rowCounts);
          expect(slices?.map(([output]) => output)).to.deep.equal(requests.map(([input]) => input));
        },
      ),
    );
  });

  it('gives the run memory of its own: a message buffer is never given away', () => {
    const message = new Uint8Array(64);
    const view = message.subarray(16, 32);
    const [joined] = assembleInputs([[{ name: 'x', datatype: 'FP32', shape: [1, 4], data: view }]]);
    const data = (joined?.data ?? message) as Uint8Array;
    expect(data.buffer).to.not.equal(message.buffer);
    expect(data.byteLength).to.equal(data.buffer.byteLength);
  });

  it('passes a scalar and an empty tensor through a run of their own', () => {
    const inputs = [tensor('s', 'INT64', []), tensor('e', 'FP32', [0, 3])];
    expect(assembleInputs([inputs])).to.deep.equal(inputs);
  });

  it('hands out no rows where an output has another number of them than went in', () => {
    expect(sliceOutputs([tensor('y', 'FP32', [3, 2])], [1, 1])).to.equal(undefined);
    expect(sliceOutputs([tensor('y', 'FP32', [2, 2]), tensor('z', 'FP32', [])], [1, 1])).to.equal(undefined);
  });

  it('gives one key to requests that differ in rows only', () => {
    const keyOf = (inputs: Tensor[], outputs = ['y']) => describeRows(inputs, outputs, 8)?.key;
    const base = keyOf([tensor('x', 'FP32', [1, 4])]);
    expect(keyOf([tensor('x', 'FP32', [7, 4])])).to.equal(base);
    expect(keyOf([tensor('x', 'FP32', [1, 5])])).to.not.equal(base);
    expect(keyOf([tensor('x', 'FP32', [1, 4, 1])])).to.not.equal(base);
    expect(keyOf([tensor('x', 'FP64', [1, 4])])).to.not.equal(base);
    expect(keyOf([tensor('x', 'FP32', [1, 4])], ['y', 'z'])).to.not.equal(base);
    expect(keyOf([tensor('x', 'FP32', [1, 4])], ['y","z'])).to.not.equal(
      keyOf([tensor('x', 'FP32', [1, 4])], ['y', 'z']),
    );
  });

  it('has a request run alone that is a scalar, has no rows, too many, or inputs that disagree', () => {
    const rowsOf = (...inputs: Tensor[]) => describeRows(inputs, ['y'], 8);
    expect(rowsOf(tensor('x', 'FP32', []))).to.equal(undefined);
    expect(rowsOf(tensor('x', 'FP32', [0, 4]))).to.equal(undefined);
    expect(rowsOf(tensor('x', 'FP32', [9, 4]))).to.equal(undefined);
    expect(rowsOf(tensor('x', 'FP32', [2]), tensor('z', 'FP32', [3]))).to.equal(undefined);
    expect(rowsOf()).to.equal(undefined);
  });

  it('puts inputs in the order of the signature', () => {
    const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1] });
    const signature: Signature = { inputs: [spec('a'), spec('b')], outputs: [] };
    const ordered = orderInputs(signature, [tensor('b', 'FP32', [1]), tensor('a', 'FP32', [1])]);
    expect(ordered.map(({ name }) => name)).to.deep.equal(['a', 'b']);
  });
});
