import {
  type ErrorReason,
  type InferRequest,
  type Signature,
  TroupeError,
  tensorFromValues,
  validateInputs,
} from '@troupe/shared';
import { expect } from 'chai';
import { thrownBy } from './tensors.js';

const signature: Signature = {
  inputs: [
    { name: 'features', datatype: 'FP32', shape: [-1, 4] },
    { name: 'mask', datatype: 'BOOL', shape: [] },
    { name: 'extra', datatype: 'INT64', shape: undefined },
  ],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1, 3] },
  ],
};
const features = tensorFromValues('features', 'FP32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
const mask = tensorFromValues('mask', 'BOOL', [], [true]);
const extra = tensorFromValues('extra', 'INT64', [1, 1, 1], [1]);

const request = (inputs: InferRequest['inputs'], outputs?: readonly string[]): InferRequest => ({
  parameters: {},
  inputs,
  ...(outputs === undefined ? {} : { outputs: outputs.map((name) => ({ name })) }),
  binaryOutput: false,
});

function expectRefusal(given: InferRequest, reason: ErrorReason, text: RegExp): void {
  const error = thrownBy(() => validateInputs(signature, given));
  expect(error).to.be.instanceOf(TroupeError).with.property('reason', reason);
  expect((error as TroupeError).message).to.match(text);
}

describe('inputs against a signature', () => {
  it('the right ones pass, in any order, with any outputs of the model', () => {
    validateInputs(signature, request([features, mask, extra]));
    validateInputs(signature, request([extra, features, mask], ['probabilities']));
    validateInputs(signature, request([mask, extra, features], ['probabilities', 'label']));
    validateInputs({ inputs: [], outputs: [] }, request([]));
  });

  it('a variable dimension takes every length, zero too', () => {
    for (const rows of [0, 1, 7]) {
      const tensor = tensorFromValues('features', 'FP32', [rows, 4], Array(rows * 4).fill(0));
      validateInputs(signature, request([tensor, mask, extra]));
    }
  });

  it('missing inputs are named', () => {
    expectRefusal(request([features, extra]), 'request.input_missing', /^input "mask" is missing$/);
    expectRefusal(request([]), 'request.input_missing', /inputs "features", "mask", "extra" are missing/);
  });

  it('an unknown input is named with the one that was probably meant, or with those there are', () => {
    const typo = { ...features, name: 'Featurs' };
    expectRefusal(
      request([typo, mask, extra]),
      'request.input_unknown',
      /no input "Featurs"; did you mean "features"\?/,
    );
    const other = { ...features, name: 'sepal' };
    expectRefusal(request([other]), 'request.input_unknown', /"sepal"; it has "features", "mask", "extra"/);
    const fourth = { ...features, name: 'x'.repeat(10_000) };
    expectRefusal(request([features, mask, extra, fourth]), 'request.input_unknown', /xxx\.\.\./);
  });

  it('a wrong datatype is told with the right one', () => {
    const doubles = tensorFromValues('features', 'FP64', [1, 4], [1, 2, 3, 4]);
    expectRefusal(
      request([doubles, mask, extra]),
      'request.tensor_datatype',
      /inputs\[0\] "features": is FP64; the model takes FP32/,
    );
  });

  it('a wrong shape is told with the right one, and with the leading 1 where only that is missing', () => {
    const row = tensorFromValues('features', 'FP32', [4], [1, 2, 3, 4]);
    expectRefusal(
      request([row, mask, extra]),
      'request.tensor_shape',
      /\[4\] does not fit \[-1,4\].*did you mean \[1,4\]/,
    );
    const wide = tensorFromValues('features', 'FP32', [1, 5], [1, 2, 3, 4, 5]);
    expectRefusal(
      request([mask, extra, wide]),
      'request.tensor_shape',
      /inputs\[2\] "features": shape \[1,5\] does not fit \[-1,4\] of the model$/,
    );
    const vector = tensorFromValues('mask', 'BOOL', [1], [true]);
    expectRefusal(request([features, vector, extra]), 'request.tensor_shape', /\[1\] does not fit \[\]/);
  });

  it('an unknown output is named with the one that was probably meant', () => {
    expectRefusal(
      request([features, mask, extra], ['lable']),
      'request.output_unknown',
      /no output "lable"; did you mean "label"\?/,
    );
    expectRefusal(
      request([features, mask, extra], ['label', 'z']),
      'request.output_unknown',
      /it has "label", "probabilities"/,
    );
  });
});
