import { decodeGoldenCase, type GoldenCase, TroupeError, tensorFromValues } from '@troupe/shared';
import { expect } from 'chai';
import { plain, thrownBy } from './tensors.js';

const golden = (members: object): GoldenCase => ({ name: 'case 1', inputs: [], outputs: [], ...members });

describe('golden cases', () => {
  it('become tensors; 64-bit integers may be decimal strings, floats may be NaN and infinities by name', () => {
    const decoded = decodeGoldenCase(
      golden({
        inputs: [
          { name: 'a', datatype: 'INT64', shape: [3], data: ['-9223372036854775808', 5, '9007199254740993'] },
          { name: 'b', datatype: 'FP32', shape: [1, 3], data: [['NaN', 'Infinity', '-Infinity']] },
          { name: 'c', datatype: 'FP16', shape: [2], data: [1, 'Infinity'] },
        ],
        outputs: [{ name: 'd', datatype: 'BYTES', shape: [1], data: ['NaN'] }],
      }),
    );
    expect(decoded.inputs.map(plain)).to.deep.equal([
      { name: 'a', datatype: 'INT64', shape: [3], data: '000000000000008005000000000000000100000000002000' },
      { name: 'b', datatype: 'FP32', shape: [1, 3], data: '0000c07f0000807f000080ff' },
      { name: 'c', datatype: 'FP16', shape: [2], data: '003c007c' },
    ]);
    expect(decoded.outputs.map(plain)).to.deep.equal([
      { name: 'd', datatype: 'BYTES', shape: [1], data: ['NaN'] },
    ]);
  });

  it('take their own tolerances, else those of the ONNX project', () => {
    expect(decodeGoldenCase(golden({}))).to.include({ absoluteTolerance: 1e-7, relativeTolerance: 1e-3 });
    expect(decodeGoldenCase(golden({ absolute_tolerance: 0, relative_tolerance: 0.5 }))).to.include({
      absoluteTolerance: 0,
      relativeTolerance: 0.5,
    });
  });

  it('that are wrong are refused with the name of the case and of what is wrong', () => {
    const input = { name: 'a', datatype: 'INT64', shape: [1], data: [1] };
    const wrong: [object, RegExp][] = [
      [{ name: '' }, /must be an object with a name/],
      [{ inputs: {} }, /case "case 1": "inputs" must be an array/],
      [{ outputs: [null] }, /outputs\[0\] has no name/],
      [{ inputs: [{ ...input, datatype: 'FP8' }] }, /inputs\[0\] "a": datatype "FP8" is not known/],
      [{ inputs: [{ ...input, shape: [-1] }] }, /inputs\[0\] "a": dimension 0/],
      [{ inputs: [{ ...input, data: [1, 2] }] }, /inputs\[0\] "a": "data" holds 2/],
      [{ inputs: [{ ...input, data: ['12x'] }] }, /element 0 of "data" is "12x"/],
      [{ inputs: [{ ...input, data: ['9223372036854775808'] }] }, /element 0/],
      [{ inputs: [{ ...input, data: [2 ** 60] }] }, /bigints or decimal strings/],
      [{ inputs: [{ ...input, datatype: 'FP32', data: ['nan'] }] }, /element 0/],
      [{ inputs: [{ ...input, datatype: 'INT32', data: ['Infinity'] }] }, /element 0/],
      [{ absolute_tolerance: -1 }, /"absolute_tolerance" must be/],
      [{ relative_tolerance: '0' }, /"relative_tolerance" must be/],
    ];
    for (const [members, text] of wrong) {
      const error = thrownBy(() => decodeGoldenCase(golden(members)));
      expect(error).to.be.instanceOf(TroupeError).with.property('reason', 'model.golden');
      expect((error as TroupeError).message).to.match(text);
    }
    expect(thrownBy(() => decodeGoldenCase(null as unknown as GoldenCase))).to.have.property(
      'reason',
      'model.golden',
    );
  });

  it('tensors are made of values in the same way', () => {
    const tensor = tensorFromValues('x', 'UINT64', [2, 1], [[1n], ['18446744073709551615']]);
    expect(plain(tensor)).to.deep.equal({
      name: 'x',
      datatype: 'UINT64',
      shape: [2, 1],
      data: '0100000000000000ffffffffffffffff',
    });
    expect(thrownBy(() => tensorFromValues('x', 'FP32', [1], [undefined]))).to.have.property(
      'reason',
      'request.tensor_value',
    );
    expect(thrownBy(() => tensorFromValues('x', 'F32', [1], [1]))).to.have.property(
      'reason',
      'request.tensor_datatype',
    );
  });
});
