/** Names of inputs against the signature. */
import type { Signature } from '@troupe/shared';
import { expect } from 'chai';
import { convertInputs } from '../../src/sdk/convert-inputs.js';
import { tensor } from '../../src/sdk/input-tensor.js';
import { expectThrow } from '../expect-error.js';

const input = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] }) as const;
const one: Signature = { inputs: [input('features')], outputs: [] };
const two: Signature = { inputs: [input('left'), input('right')], outputs: [] };
const rows = [[1, 2]];

describe('names of inputs', () => {
  const names = (signature: Signature, inputs: unknown) =>
    convertInputs('m', signature, inputs).map((converted) => converted.name);

  it('tensors come in the order of the signature, whatever the order of the object', () => {
    expect(names(two, { right: rows, left: rows })).to.deep.equal(['left', 'right']);
    expect(names(two, Object.assign(Object.create(null), { left: rows, right: rows }))).to.deep.equal([
      'left',
      'right',
    ]);
  });

  it('a value alone is the only input, in every form', () => {
    for (const value of [
      rows,
      Float32Array.of(1, 2),
      tensor([1, 2], [1, 2]),
      { data: [1, 2], shape: [1, 2] },
    ]) {
      expect(names(one, value)).to.deep.equal(['features']);
    }
    expect(names(one, { features: rows })).to.deep.equal(['features']);
  });

  it('a model with inputs called data and shape is asked by name', () => {
    const odd: Signature = { inputs: [input('data'), input('shape')], outputs: [] };
    expect(names(odd, { data: rows, shape: rows })).to.deep.equal(['data', 'shape']);
  });

  it('an unknown input is refused, naming the nearest known one', () => {
    expectThrow(
      () => names(one, { feature: rows }),
      'request.input_unknown',
      '"feature"',
      'did you mean "features"?',
    );
    expectThrow(
      () => names(two, { left: rows, right: rows, zzzzzz: rows }),
      'request.input_unknown',
      '"zzzzzz"',
      '"left", "right"',
    );
  });

  it('a missing input is refused, naming all that the model takes', () => {
    expectThrow(() => names(two, { left: rows }), 'request.input_missing', 'right', '"left", "right"');
    expectThrow(() => names(two, { left: rows, right: undefined }), 'request.input_missing', 'right');
    expectThrow(() => names(two, rows), 'request.input_missing', '"left", "right"', 'an array');
    expectThrow(() => names(one, undefined), 'request.input_missing', 'undefined', '"features"');
    expectThrow(() => names(one, null), 'request.input_missing', 'null');
    expectThrow(() => names(one, () => 1), 'request.input_missing', 'function');
    expectThrow(() => names(one, {}), 'request.input_missing', 'features');
  });

  it('inherited properties are no inputs', () => {
    const odd: Signature = { inputs: [input('toString')], outputs: [] };
    expectThrow(() => names(odd, {}), 'request.input_missing', 'toString');
    expectThrow(() => names(odd, Object.create({ toString: rows })), 'request.input_missing', 'toString');
  });

  it('a model without inputs takes an empty object', () => {
    expect(names({ inputs: [], outputs: [] }, {})).to.deep.equal([]);
    expectThrow(() => names({ inputs: [], outputs: [] }, { x: 1 }), 'request.input_unknown', 'no inputs');
  });

  it('a name from outside cannot forge lines of a log', () => {
    const error = expectThrow(() => names(one, { 'a\nFORGED': rows }), 'request.input_unknown');
    expect(error.message).not.to.include('\n');
  });
});
