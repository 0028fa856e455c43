/**
 * Builds multilayer perceptrons as ONNX models: the bundled iris models, and models of a chosen size for tests
 * and benchmarks.
 */

import type { NodeDescription, TensorDescription } from './model-writer.js';
import { encodeModel, floatTensor, tensorValue } from './model-writer.js';
import { SeededRandom } from './seeded-random.js';

/** One dense layer: y = x · weight + bias. */
export interface DenseLayer {
  /** [inputs, outputs] float32, row-major. */
  readonly weight: Float32Array;
  /** [outputs] float32. */
  readonly bias: Float32Array;
}

export interface MlpOptions {
  /** Widths from input to output, for example `[4, 16, 3]`; at least two. */
  readonly layers: readonly number[];
  /** One dense layer for each step between two widths; default: pseudo-random ones from `seed`. */
  readonly weights?: readonly DenseLayer[];
  /** Default 1; only used without `weights`. */
  readonly seed?: number;
  /** After every layer but the last; default `Relu`. */
  readonly activation?: 'Relu' | 'Tanh' | 'Sigmoid';
  /** Whether the output is turned into probabilities; default false. */
  readonly softmax?: boolean;
  /** Default `input`: [batch, layers[0]] float32. */
  readonly inputName?: string;
  /** Default `output`: [batch, last of layers] float32. */
  readonly outputName?: string;
  /** Dimension 0: the name of a variable size, or a fixed one; default `N`. */
  readonly batch?: string | number;
}

/** The bytes of a multilayer perceptron. Throws a RangeError where widths and weights contradict each other. */
export function mlp(options: MlpOptions): Uint8Array<ArrayBuffer> {
  const { layers, activation = 'Relu', inputName = 'input', outputName = 'output', batch = 'N' } = options;
  const [inputWidth, outputWidth] = [layers[0], layers.at(-1)];
  if (inputWidth === undefined || outputWidth === undefined || layers.length < 2) {
    throw new RangeError(`mlp needs at least two layer widths, got ${layers.length}`);
  }
  const weights = options.weights ?? randomDenseLayers(layers, options.seed ?? 1);
  checkWeights(layers, weights);

  const nodes: NodeDescription[] = [];
  const initializers: TensorDescription[] = [];
  let current = inputName;
  weights.forEach((layer, index) => {
    const isLast = index === weights.length - 1;
    const [weightName, biasName, sumName] = [`weight_${index}`, `bias_${index}`, `sum_${index}`];
    initializers.push(
      floatTensor(weightName, [layers[index] ?? 0, layer.bias.length], layer.weight),
      floatTensor(biasName, [layer.bias.length], layer.bias),
    );
    const sum = isLast && !options.softmax ? outputName : sumName;
    nodes.push({ opType: 'Gemm', inputs: [current, weightName, biasName], outputs: [sum] });
    current = sum;
    if (!isLast) {
      nodes.push({ opType: activation, inputs: [current], outputs: [`active_${index}`] });
      current = `active_${index}`;
    }
  });
  if (options.softmax) {
    nodes.push({
      opType: 'Softmax',
      inputs: [current],
      outputs: [outputName],
      attributes: { axis: { type: 'int', value: -1 } },
    });
  }
  return encodeModel({
    graph: {
      name: 'mlp',
      inputs: [tensorValue(inputName, 'FLOAT', [batch, inputWidth])],
      outputs: [tensorValue(outputName, 'FLOAT', [batch, outputWidth])],
      nodes,
      initializers,
    },
  });
}

/** Pseudo-random dense layers whose activations keep about the scale of the input (Glorot and Bengio 2010, eq. 16). */
export function randomDenseLayers(layers: readonly number[], seed: number): DenseLayer[] {
  const random = new SeededRandom(seed);
  return layers.slice(1).map((outputs, index) => {
    const inputs = layers[index] ?? 0;
    const limit = Math.sqrt(6 / (inputs + outputs));
    return {
      weight: Float32Array.from({ length: inputs * outputs }, () => random.nextWithin(limit)),
      bias: Float32Array.from({ length: outputs }, () => random.nextWithin(0.1)),
    };
  });
}

function checkWeights(layers: readonly number[], weights: readonly DenseLayer[]): void {
  if (weights.length !== layers.length - 1) {
    throw new RangeError(
      `${layers.length} layer widths need ${layers.length - 1} dense layers, got ${weights.length}`,
    );
  }
  weights.forEach(({ weight, bias }, index) => {
    const [inputs, outputs] = [layers[index] ?? 0, layers[index + 1] ?? 0];
    if (weight.length !== inputs * outputs || bias.length !== outputs) {
      throw new RangeError(
        `dense layer ${index} must hold ${inputs} x ${outputs} weights and ${outputs} biases, ` +
          `got ${weight.length} and ${bias.length}`,
      );
    }
  });
}
