/** Well-behaved models of three sizes and a convolutional one, with seeded weights, for load and throughput. */

import type { NodeDescription, TensorDescription } from '@troupe/shared/onnx';
import { encodeModel, floatTensor, mlp, SeededRandom, tensorValue } from '@troupe/shared/onnx';

/** A few microseconds for each run: `input` [N, 4] to `output` [N, 3]. Another seed is another version. */
export function tinyMlp(seed = 1): Uint8Array<ArrayBuffer> {
  return mlp({ layers: [4, 16, 3], seed, softmax: true });
}

/** 11.5 MB: `input` [N, 512] to `output` [N, 256]. */
export function midMlp(seed = 1): Uint8Array<ArrayBuffer> {
  return mlp({ layers: [512, 1024, 1024, 1024, 256], seed });
}

/** A ranking model of 27 MB, where batching pays most: `input` [N, 256] to `output` [N, 1]. */
export function rankMlp(seed = 1): Uint8Array<ArrayBuffer> {
  return mlp({ layers: [256, 2048, 2048, 1024, 1], seed });
}

/** A picture classifier of eight convolutions: `input` [N, 3, 224, 224] to `output` [N, 10]. */
export function cnn(seed = 1): Uint8Array<ArrayBuffer> {
  const random = new SeededRandom(seed);
  const constant = (name: string, dims: readonly number[], fanIn: number): TensorDescription => {
    const limit = Math.sqrt(6 / fanIn); // He et al. 2015, for Relu
    const length = dims.reduce((product, dim) => product * dim, 1);
    return floatTensor(
      name,
      dims,
      Float32Array.from({ length }, () => random.nextWithin(limit)),
    );
  };
  const channels = [3, 16, 16, 32, 32, 64, 64, 128, 128];
  const nodes: NodeDescription[] = [];
  const initializers: TensorDescription[] = [];
  let current = 'input';
  channels.slice(1).forEach((outputs, index) => {
    const inputs = channels[index] ?? 0;
    const stride = index % 2 === 0 ? 2 : 1;
    initializers.push(constant(`kernel_${index}`, [outputs, inputs, 3, 3], inputs * 9));
    nodes.push(
      {
        opType: 'Conv',
        inputs: [current, `kernel_${index}`],
        outputs: [`conv_${index}`],
        attributes: {
          pads: { type: 'ints', value: [1, 1, 1, 1] },
          strides: { type: 'ints', value: [stride, stride] },
        },
      },
      { opType: 'Relu', inputs: [`conv_${index}`], outputs: [`active_${index}`] },
    );
    current = `active_${index}`;
  });
  initializers.push(constant('weight', [128, 10], 128), floatTensor('bias', [10], new Float32Array(10)));
  nodes.push(
    { opType: 'GlobalAveragePool', inputs: [current], outputs: ['pooled'] },
    { opType: 'Flatten', inputs: ['pooled'], outputs: ['flat'] },
    { opType: 'Gemm', inputs: ['flat', 'weight', 'bias'], outputs: ['output'] },
  );
  return encodeModel({
    graph: {
      name: 'cnn',
      inputs: [tensorValue('input', 'FLOAT', ['N', 3, 224, 224])],
      outputs: [tensorValue('output', 'FLOAT', ['N', 10])],
      nodes,
      initializers,
    },
  });
}
