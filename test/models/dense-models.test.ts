import type { ServableElementType } from '@troupe/shared/onnx';
import {
  encodeModel,
  findModelFaults,
  floatTensor,
  identityModel,
  mlp,
  randomDenseLayers,
  SeededRandom,
  scanModel,
  tensorValue,
} from '@troupe/shared/onnx';
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { halfTensor } from '../../packages/worker/src/onnx/half-tensor.js';
import { cnn, midMlp, rankMlp, tinyMlp } from './dense-models.js';
import { floats, runModel, withSession } from './onnx-session.js';

describe('dense test models', () => {
  const models = [
    { name: 'tinyMlp', build: tinyMlp, row: [4], outputs: 3 },
    { name: 'midMlp', build: midMlp, row: [512], outputs: 256 },
    { name: 'rankMlp', build: rankMlp, row: [256], outputs: 1 },
    { name: 'cnn', build: cnn, row: [3, 224, 224], outputs: 10 },
  ];
  for (const { name, build, row, outputs } of models) {
    it(`${name} loads, gives finite numbers, and gives rows in a batch what it gives each alone`, async () => {
      const model = build();
      expect(findModelFaults(scanModel(model), new Map())).to.deep.equal([]);
      await withSession(model, async (session) => {
        const width = row.reduce((product, dim) => product * dim, 1);
        const random = new SeededRandom(5);
        const rows = [0, 1, 2].map(() => Array.from({ length: width }, () => random.nextWithin(1)));
        const batch = await session.run({ input: floats(rows.flat(), [3, ...row]) });
        expect(batch.output?.dims).to.deep.equal([3, outputs]);
        const together = numbers(batch.output);
        for (const [index, values] of rows.entries()) {
          const alone = await session.run({ input: floats(values, [1, ...row]) });
          numbers(alone.output).forEach((value, place) => {
            expect(Number.isFinite(value)).to.equal(true);
            expect(together[index * outputs + place]).to.be.closeTo(value, 1e-4);
          });
        }
      });
    }).timeout(60_000);
  }

  it('are the same bytes for the same seed, and others for another', () => {
    expect(tinyMlp(3)).to.deep.equal(tinyMlp(3));
    expect(tinyMlp(3)).to.not.deep.equal(tinyMlp(4));
  });
});

describe('mlp', () => {
  for (const activation of ['Relu', 'Tanh', 'Sigmoid'] as const) {
    it(`computes what its layers say, with ${activation} between them`, async () => {
      const layers = [3, 5, 2];
      const weights = randomDenseLayers(layers, 7);
      const values = [0.5, -1.25, 2];
      const active = {
        Relu: (x: number) => Math.max(0, x),
        Tanh: Math.tanh,
        Sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
      }[activation];
      let expected = values;
      weights.forEach(({ weight, bias }, index) => {
        const sums = Array.from(bias, (start, column) =>
          expected.reduce(
            (sum, value, row) => sum + value * (weight[row * bias.length + column] ?? 0),
            start,
          ),
        );
        expected = index === weights.length - 1 ? sums : sums.map(active);
      });
      const model = mlp({ layers, weights, activation, inputName: 'x', outputName: 'y', batch: 1 });
      const { y } = await runModel(model, { x: floats(values, [1, 3]) });
      expected.forEach((value, place) => {
        expect(numbers(y)[place]).to.be.closeTo(value, 1e-5);
      });
    });
  }

  it('gives probabilities that sum to 1 with softmax', async () => {
    const { output } = await runModel(tinyMlp(), { input: floats([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]) });
    const values = numbers(output);
    for (const row of [values.slice(0, 3), values.slice(3)]) {
      expect(row.reduce((sum, value) => sum + value, 0)).to.be.closeTo(1, 1e-5);
    }
  });

  it('refuses widths and weights that contradict each other', () => {
    const weights = randomDenseLayers([4, 3], 1);
    expect(() => mlp({ layers: [4] })).to.throw(RangeError);
    expect(() => mlp({ layers: [4, 2], weights })).to.throw(RangeError, 'dense layer 0');
    expect(() => mlp({ layers: [4, 3, 2], weights })).to.throw(RangeError, '2 dense layers');
  });
});

/** Halves come as numbers from Node 24 on, and as their bits before. */
function bits(data: ort.Tensor['data'] | undefined): unknown {
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : data;
}

describe('identity model', () => {
  const samples: Record<ServableElementType, ort.Tensor> = {
    FLOAT: new ort.Tensor('float32', Float32Array.of(1.5, Number.NaN, Number.NEGATIVE_INFINITY), [3]),
    DOUBLE: new ort.Tensor('float64', Float64Array.of(Number.MAX_VALUE, -0, 0.1), [3]),
    FLOAT16: halfTensor(Uint16Array.of(0x3c00, 0x7bff, 0xfc00), [3]),
    BOOL: new ort.Tensor('bool', Uint8Array.of(1, 0, 1), [3]),
    INT8: new ort.Tensor('int8', Int8Array.of(-128, 0, 127), [3]),
    INT16: new ort.Tensor('int16', Int16Array.of(-32768, 0, 32767), [3]),
    INT32: new ort.Tensor('int32', Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1), [3]),
    INT64: new ort.Tensor('int64', BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n), [3]),
    UINT8: new ort.Tensor('uint8', Uint8Array.of(0, 1, 255), [3]),
    UINT16: new ort.Tensor('uint16', Uint16Array.of(0, 1, 65535), [3]),
    UINT32: new ort.Tensor('uint32', Uint32Array.of(0, 1, 2 ** 32 - 1), [3]),
    UINT64: new ort.Tensor('uint64', BigUint64Array.of(0n, 1n, 2n ** 64n - 1n), [3]),
    STRING: new ort.Tensor('string', ['', 'Blüte', '\u{1f338}'], [3]),
  };
  for (const [elementType, sample] of Object.entries(samples) as [ServableElementType, ort.Tensor][]) {
    it(`gives ${elementType} back unchanged`, async () => {
      const { output } = await runModel(identityModel({ elementType, dims: ['N'] }), { input: sample });
      expect(output?.type).to.equal(sample.type);
      expect(output?.dims).to.deep.equal([3]);
      expect(bits(output?.data)).to.deep.equal(bits(sample.data));
    });
  }

  it('takes scalars, fixed dimensions and dimensions that it says nothing about', async () => {
    for (const dims of [[], [2, 3], [undefined, 3], ['a', 'b', 'c', 1, 2]]) {
      const shape = dims.map((dim) => (typeof dim === 'number' ? dim : 2));
      const values = Array.from({ length: shape.reduce((product, dim) => product * dim, 1) }, (_, i) => i);
      const { output } = await runModel(identityModel({ dims }), { input: floats(values, shape) });
      expect(output?.dims).to.deep.equal(shape);
      expect(numbers(output)).to.deep.equal(values);
    }
  });
});

describe('model writer', () => {
  it('writes a subgraph that ONNX Runtime runs: If picks a branch by its input', async () => {
    const branch = (factor: number) => ({
      name: `times_${factor}`,
      outputs: [tensorValue(`result_${factor}`, 'FLOAT', ['N'])],
      nodes: [{ opType: 'Mul', inputs: ['x', `factor_${factor}`], outputs: [`result_${factor}`] }],
      initializers: [floatTensor(`factor_${factor}`, [], [factor])],
    });
    const model = encodeModel({
      graph: {
        inputs: [tensorValue('x', 'FLOAT', ['N']), tensorValue('large', 'BOOL', [])],
        outputs: [tensorValue('y', 'FLOAT', ['N'])],
        nodes: [
          {
            opType: 'If',
            inputs: ['large'],
            outputs: ['y'],
            attributes: {
              then_branch: { type: 'graph', value: branch(100) },
              else_branch: { type: 'graph', value: branch(2) },
            },
          },
        ],
      },
    });
    const runWith = async (large: number) =>
      numbers(
        (
          await runModel(model, {
            x: floats([1, 2], [2]),
            large: new ort.Tensor('bool', Uint8Array.of(large), []),
          })
        ).y,
      );
    expect(await runWith(1)).to.deep.equal([100, 200]);
    expect(await runWith(0)).to.deep.equal([2, 4]);
  });
});

function numbers(tensor: ort.Tensor | undefined): number[] {
  return Array.from(tensor?.data ?? [], Number);
}
