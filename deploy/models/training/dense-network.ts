/**
 * Trains small dense classifiers in double precision: multinomial logistic regression where there is no hidden
 * layer, else a perceptron with Relu between layers.
 *
 * Full-batch Adam (Kingma and Ba 2015, algorithm 1) on mean cross-entropy with weight decay. Only basic
 * arithmetic, square roots and portableExp, so that a seed gives the same weights on every machine.
 */

import type { DenseLayer } from '@troupe/shared/onnx';
import { SeededRandom } from '@troupe/shared/onnx';
import { portableExp } from './portable-exp.js';

/** One layer while it is trained: weight [inputs, outputs] row-major, bias [outputs]. */
interface TrainedLayer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

export interface TrainingOptions {
  /** Widths from features to classes, for example `[4, 16, 3]`. */
  readonly layers: readonly number[];
  readonly seed: number;
  readonly steps: number;
  readonly learningRate: number;
  /** Factor of the squared weights in the loss. */
  readonly weightDecay: number;
}

interface Sample {
  readonly features: readonly number[];
  /** Index of the class. */
  readonly label: number;
}

/**
 * Trains a classifier on raw features. Features are standardised for the training, and the scaling is folded
 * into the first layer afterwards, so the layers given back take raw features too.
 */
export function trainClassifier(samples: readonly Sample[], options: TrainingOptions): DenseLayer[] {
  const scaling = standardScaling(samples);
  const scaled = samples.map(({ features, label }) => ({
    features: features.map(
      (value, index) => (value - at(scaling.means, index)) / at(scaling.deviations, index),
    ),
    label,
  }));
  const random = new SeededRandom(options.seed);
  const layers = options.layers.slice(1).map((outputs, index): TrainedLayer => {
    const inputs = at(options.layers, index);
    const limit = Math.sqrt(6 / (inputs + outputs)); // Glorot and Bengio 2010, eq. 16
    return {
      inputs,
      outputs,
      weight: Float64Array.from({ length: inputs * outputs }, () => random.nextWithin(limit)),
      bias: new Float64Array(outputs),
    };
  });
  descend(layers, scaled, options);
  return foldScaling(layers, scaling).map(({ weight, bias }) => ({
    weight: Float32Array.from(weight),
    bias: Float32Array.from(bias),
  }));
}

/**
 * Class probabilities of one sample, as a runtime with the same float32 weights computes them but in double
 * precision. Features are rounded to float32 first, as a request carries them.
 */
export function classProbabilities(layers: readonly DenseLayer[], features: readonly number[]): Float64Array {
  const widened = layers.map(({ weight, bias }): TrainedLayer => {
    const outputs = bias.length;
    return {
      inputs: weight.length / outputs,
      outputs,
      weight: Float64Array.from(weight),
      bias: Float64Array.from(bias),
    };
  });
  return softmax(at(forward(widened, features.map(Math.fround)), layers.length));
}

function descend(
  layers: readonly TrainedLayer[],
  samples: readonly Sample[],
  options: TrainingOptions,
): void {
  const [decay1, decay2, epsilon] = [0.9, 0.999, 1e-8]; // the paper's defaults
  const parameters = layers.flatMap(({ weight, bias }) => [weight, bias]);
  const firstMoments = parameters.map(({ length }) => new Float64Array(length));
  const secondMoments = parameters.map(({ length }) => new Float64Array(length));
  let [power1, power2] = [1, 1];
  for (let step = 0; step < options.steps; step += 1) {
    power1 *= decay1;
    power2 *= decay2;
    const gradients = lossGradients(layers, samples, options.weightDecay);
    parameters.forEach((parameter, index) => {
      const [gradient, first, second] = [
        at(gradients, index),
        at(firstMoments, index),
        at(secondMoments, index),
      ];
      for (let place = 0; place < parameter.length; place += 1) {
        const slope = at(gradient, place);
        const moment1 = decay1 * at(first, place) + (1 - decay1) * slope;
        const moment2 = decay2 * at(second, place) + (1 - decay2) * slope * slope;
        first[place] = moment1;
        second[place] = moment2;
        const [mean, variance] = [moment1 / (1 - power1), moment2 / (1 - power2)];
        parameter[place] =
          at(parameter, place) - (options.learningRate * mean) / (Math.sqrt(variance) + epsilon);
      }
    });
  }
}

/** Gradients of the mean loss, in the order weight, bias of each layer. */
function lossGradients(
  layers: readonly TrainedLayer[],
  samples: readonly Sample[],
  weightDecay: number,
): Float64Array[] {
  const gradients = layers.flatMap(({ weight, bias }) => [
    weight.map((value) => 2 * weightDecay * value),
    new Float64Array(bias.length),
  ]);
  for (const { features, label } of samples) {
    const activations = forward(layers, features);
    // The derivative of cross-entropy by the scores is (probability - truth).
    let error = softmax(at(activations, layers.length));
    error[label] = at(error, label) - 1;
    for (let index = layers.length - 1; index >= 0; index -= 1) {
      const { inputs, outputs, weight } = at(layers, index);
      const [weightGradient, biasGradient] = [at(gradients, 2 * index), at(gradients, 2 * index + 1)];
      const input = at(activations, index);
      const inputError = new Float64Array(inputs);
      for (let column = 0; column < outputs; column += 1) {
        const share = at(error, column) / samples.length;
        biasGradient[column] = at(biasGradient, column) + share;
        for (let row = 0; row < inputs; row += 1) {
          const place = row * outputs + column;
          weightGradient[place] = at(weightGradient, place) + share * at(input, row);
          // Relu lets an error through only where it let the value through.
          if (at(input, row) > 0) {
            inputError[row] = at(inputError, row) + at(error, column) * at(weight, place);
          }
        }
      }
      error = inputError;
    }
  }
  return gradients;
}

/** The input, then what each layer gives: with Relu, except for the scores of the last one. */
function forward(layers: readonly TrainedLayer[], features: readonly number[]): Float64Array[] {
  const activations = [Float64Array.from(features)];
  layers.forEach(({ inputs, outputs, weight, bias }, index) => {
    const input = at(activations, index);
    const output = Float64Array.from(bias);
    for (let row = 0; row < inputs; row += 1) {
      for (let column = 0; column < outputs; column += 1) {
        output[column] = at(output, column) + at(input, row) * at(weight, row * outputs + column);
      }
    }
    activations.push(index === layers.length - 1 ? output : output.map((value) => Math.max(0, value)));
  });
  return activations;
}

function softmax(scores: Float64Array): Float64Array {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => portableExp(score - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

interface Scaling {
  readonly means: readonly number[];
  readonly deviations: readonly number[];
}

function standardScaling(samples: readonly Sample[]): Scaling {
  const columns = at(samples, 0).features.map((_, index) =>
    samples.map(({ features }) => at(features, index)),
  );
  const average = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = columns.map(average);
  const deviations = columns.map((column, index) =>
    Math.sqrt(average(column.map((value) => (value - at(means, index)) * (value - at(means, index))))),
  );
  return { means, deviations };
}

/** With z = (x - mean) / deviation: z · W + b = x · (W / deviation) + (b - (mean / deviation) · W). */
function foldScaling(layers: readonly TrainedLayer[], { means, deviations }: Scaling): TrainedLayer[] {
  const first = at(layers, 0);
  const { inputs, outputs } = first;
  const weight = Float64Array.from(first.weight);
  const bias = Float64Array.from(first.bias);
  for (let row = 0; row < inputs; row += 1) {
    for (let column = 0; column < outputs; column += 1) {
      const place = row * outputs + column;
      weight[place] = at(weight, place) / at(deviations, row);
      bias[column] = at(bias, column) - at(means, row) * at(weight, place);
    }
  }
  return [{ inputs, outputs, weight, bias }, ...layers.slice(1)];
}

/** An element that must be there: a hole here is a mistake of this file, not of its data. */
function at<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  if (value === undefined) {
    throw new RangeError(`no element ${index} among ${list.length}`);
  }
  return value;
}
