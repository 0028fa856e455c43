import {
  decodeInferRequest,
  decodeInferResponse,
  encodeInferRequest,
  encodeInferResponse,
  type InferRequest,
  type InferResponse,
  type RequestedOutput,
  type Tensor,
  TroupeError,
  tensorFromValues,
  wantsBinary,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { datatypes, plain, tensorOf, text, thrownBy } from './tensors.js';

const anyTensor = (finite: boolean): fc.Arbitrary<Tensor> =>
  fc.constantFrom(...datatypes).chain((datatype) => tensorOf(datatype, finite));

const parameterName = fc
  .string({ maxLength: 8 })
  .filter((name) => name !== '__proto__' && !name.startsWith('binary_data'));
const parameters = fc.dictionary(
  parameterName,
  fc.oneof(
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
    fc.boolean(),
  ),
  { maxKeys: 3 },
);
const outputs: fc.Arbitrary<RequestedOutput[]> = fc.uniqueArray(
  fc.oneof(fc.record({ name: text }), fc.record({ name: text, binary: fc.boolean() })),
  { selector: ({ name }) => name, minLength: 1, maxLength: 3 },
);

function requestOf(finite: boolean): fc.Arbitrary<InferRequest> {
  return fc.record(
    {
      id: text,
      parameters,
      inputs: fc.uniqueArray(anyTensor(finite), { selector: ({ name }) => name, maxLength: 4 }),
      outputs,
      binaryOutput: fc.boolean(),
    },
    { requiredKeys: ['parameters', 'inputs', 'binaryOutput'] },
  );
}

function plainRequest(request: InferRequest): object {
  return { ...request, parameters: { ...request.parameters }, inputs: request.inputs.map(plain) };
}

function plainResponse(response: InferResponse): object {
  return { ...response, outputs: response.outputs.map(plain) };
}

describe('round trips of messages', () => {
  for (const datatype of datatypes) {
    it(`${datatype}: every tensor comes back bit for bit in binary form`, () => {
      fc.assert(
        fc.property(tensorOf(datatype, false), (tensor) => {
          const { payload, jsonLength } = encodeInferRequest({ inputs: [tensor] }, true);
          expect(decodeInferRequest(payload, jsonLength).inputs.map(plain)).to.deep.equal([plain(tensor)]);
        }),
      );
    });

    it(`${datatype}: every finite tensor comes back bit for bit as JSON`, () => {
      fc.assert(
        fc.property(tensorOf(datatype, true), (tensor) => {
          const { payload, jsonLength } = encodeInferRequest({ inputs: [tensor] }, false);
          expect(jsonLength).to.equal(undefined);
          expect(decodeInferRequest(payload, undefined).inputs.map(plain)).to.deep.equal([plain(tensor)]);
        }),
      );
    });
  }

  for (const binary of [true, false]) {
    it(`whole requests come back as they went, ${binary ? 'binary' : 'JSON'}`, () => {
      fc.assert(
        fc.property(requestOf(!binary), (request) => {
          const { payload, jsonLength } = encodeInferRequest(request, binary);
          expect(plainRequest(decodeInferRequest(payload, jsonLength))).to.deep.equal(plainRequest(request));
        }),
      );
    });
  }

  it('whole responses come back as they went, each output in the form that was asked for', () => {
    const response = fc.record(
      {
        modelName: text,
        modelVersion: fc.nat().map(String),
        id: text,
        parameters,
        outputs: fc.uniqueArray(anyTensor(true), { selector: ({ name }) => name, maxLength: 4 }),
      },
      { requiredKeys: ['modelName', 'modelVersion', 'outputs'] },
    );
    fc.assert(
      fc.property(response, fc.func(fc.boolean()), (given, binaryOf) => {
        const { payload, jsonLength } = encodeInferResponse(given, binaryOf);
        expect(plainResponse(decodeInferResponse(payload, jsonLength))).to.deep.equal(plainResponse(given));
        expect(jsonLength !== undefined).to.equal(given.outputs.some(({ name }) => binaryOf(name)));
      }),
    );
  });

  it('binary tensors are views on the payload, wherever it lies in memory', () => {
    const tensor = tensorFromValues('x', 'FP64', [3], [1, Number.NaN, -0]);
    const { payload, jsonLength } = encodeInferRequest({ inputs: [tensor] }, true);
    for (let shift = 0; shift < 8; shift += 1) {
      const shifted = new Uint8Array(payload.byteLength + shift).subarray(shift);
      shifted.set(payload);
      const decoded = decodeInferRequest(shifted, jsonLength).inputs[0] as Tensor;
      expect(plain(decoded)).to.deep.equal(plain(tensor));
      expect((decoded.data as Uint8Array).buffer).to.equal(shifted.buffer);
    }
  });

  it("an output's own binary flag wins over the request's", () => {
    const { payload } = encodeInferRequest(
      { inputs: [], binaryOutput: true, outputs: [{ name: 'a', binary: false }, { name: 'b' }] },
      true,
    );
    const request = decodeInferRequest(payload, undefined);
    expect([wantsBinary(request, 'a'), wantsBinary(request, 'b'), wantsBinary(request, 'c')]).to.deep.equal([
      false,
      true,
      true,
    ]);
  });

  it('float32 in JSON is written with the digits it needs', () => {
    const { payload } = encodeInferRequest(
      { inputs: [tensorFromValues('x', 'FP32', [4], [0.1, 16777216, 1e-30, -3.25])] },
      false,
    );
    expect(Buffer.from(payload).toString()).to.include('"data":[0.1,16777216,1.0000000031710769e-30,-3.25]');
  });

  it('64-bit integers in JSON are plain digits', () => {
    const { payload } = encodeInferRequest(
      { inputs: [tensorFromValues('x', 'UINT64', [2], ['18446744073709551615', 0n])] },
      false,
    );
    expect(Buffer.from(payload).toString()).to.include('"data":[18446744073709551615,0]');
  });

  it('an answer with a NaN or an infinity is never written as JSON: the error names output and way out', () => {
    for (const [datatype, value] of [
      ['FP16', Number.NaN],
      ['FP32', Number.POSITIVE_INFINITY],
      ['FP64', Number.NEGATIVE_INFINITY],
    ] as const) {
      const response = {
        modelName: 'm',
        modelVersion: '1',
        outputs: [tensorFromValues('y', datatype, [2], [0, value])],
      };
      const error = thrownBy(() => encodeInferResponse(response, () => false));
      expect(error).to.be.instanceOf(TroupeError).with.property('reason', 'answer.not_json');
      expect((error as TroupeError).message).to.match(/outputs\[0\] "y": element 1 is .*binary/);
      const { payload, jsonLength } = encodeInferResponse(response, () => true);
      expect(decodeInferResponse(payload, jsonLength).outputs.map(plain)).to.deep.equal(
        response.outputs.map(plain),
      );
    }
  });

  it('what contradicts itself is refused before it is sent', () => {
    const wrong: [Tensor, string][] = [
      [{ name: 'x', datatype: 'FP32', shape: [2], data: new Uint8Array(4) }, 'request.tensor_length'],
      [{ name: 'x', datatype: 'BYTES', shape: [2], data: ['a'] }, 'request.tensor_length'],
      [{ name: 'x', datatype: 'BYTES', shape: [1], data: new Uint8Array(4) }, 'request.tensor_length'],
      [{ name: 'x', datatype: 'BOOL', shape: [1], data: ['a'] }, 'request.tensor_length'],
      [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['\ud800'] }, 'request.tensor_value'],
      [tensorFromValues('x', 'FP32', [1], ['NaN']), 'request.tensor_value'],
    ];
    for (const [tensor, reason] of wrong) {
      expect(thrownBy(() => encodeInferRequest({ inputs: [tensor] }, false))).to.have.property(
        'reason',
        reason,
      );
    }
    const [short] = wrong[0] ?? [];
    const response = { modelName: 'm', modelVersion: '1', outputs: [short as Tensor] };
    expect(thrownBy(() => encodeInferResponse(response, () => true))).to.have.property(
      'reason',
      'answer.malformed',
    );
    expect(
      thrownBy(() => encodeInferRequest({ inputs: [], parameters: { limit: Number.NaN } }, true)),
    ).to.have.property('reason', 'request.parameter');
  });
});
