/**
 * The four models of the benchmark, with inputs, and the answers that ONNX Runtime itself gives to them. Laid into a
 * folder once, from which every process of the benchmark reads the same bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '@troupe/shared/onnx';
import { cnn, midMlp, rankMlp, tinyMlp } from '../models/dense-models.js';
import { openSession } from './servers/session.js';

export const modelNames = ['tiny', 'mid', 'rank', 'cnn'] as const;
export type ModelName = (typeof modelNames)[number];

/** A model as the processes of the benchmark know it. All have one float32 input and one float32 output. */
export interface BenchModel {
  readonly name: string;
  readonly path: string;
  /** Of one row. */
  readonly rowShape: readonly number[];
  readonly outputLength: number;
  /** Different rows; request n carries row n modulo this count. */
  readonly rowCount: number;
  /** float32, `rowCount` rows of inputs. */
  readonly inputsPath: string;
  /** float32, `rowCount` rows of answers. */
  readonly expectedPath: string;
}

/** How a model and its rows are made. */
export interface ModelSource {
  readonly name: string;
  readonly text: string;
  readonly make: () => Uint8Array;
  readonly rowShape: readonly number[];
  readonly outputLength: number;
  readonly rowCount: number;
}

const sources: Readonly<Record<ModelName, Omit<ModelSource, 'name'>>> = {
  tiny: { text: 'MLP 4-16-3', make: tinyMlp, rowShape: [4], outputLength: 3, rowCount: 64 },
  mid: { text: 'MLP 512-1024-1024-1024-256', make: midMlp, rowShape: [512], outputLength: 256, rowCount: 64 },
  rank: { text: 'MLP 256-2048-2048-1024-1', make: rankMlp, rowShape: [256], outputLength: 1, rowCount: 64 },
  cnn: {
    text: '8 convolutions on 3×224×224',
    make: cnn,
    rowShape: [3, 224, 224],
    outputLength: 10,
    rowCount: 8,
  },
};

export function modelSources(names: readonly ModelName[]): ModelSource[] {
  return names.map((name) => ({ name, ...sources[name] }));
}

/** Writes models, inputs and answers into the folder. */
export async function layModels(folder: string, wanted: readonly ModelSource[]): Promise<BenchModel[]> {
  const models: BenchModel[] = [];
  for (const { name, make, rowShape, outputLength, rowCount } of wanted) {
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, make());
    const rowLength = countElements(rowShape);
    const random = new SeededRandom(7);
    // Steps of 1/1024: numbers as short in JSON as measured ones are.
    const inputs = Float32Array.from(
      { length: rowLength * rowCount },
      () => Math.round(random.nextWithin(1) * 1024) / 1024,
    );
    const expected = new Float32Array(outputLength * rowCount);
    const session = await openSession(path, 1);
    for (let row = 0; row < rowCount; row += 1) {
      const one = inputs.subarray(row * rowLength, (row + 1) * rowLength);
      expected.set(await session.run(one, [1, ...rowShape]), row * outputLength);
    }
    await session.close();
    const [inputsPath, expectedPath] = [join(folder, `${name}.inputs`), join(folder, `${name}.expected`)];
    writeFileSync(inputsPath, inputs);
    writeFileSync(expectedPath, expected);
    models.push({ name, path, rowShape, outputLength, rowCount, inputsPath, expectedPath });
  }
  return models;
}

export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** The rows of one of a model's files, each in memory of its own. */
export function readRows(path: string, rowCount: number): Float32Array[] {
  const file = readFileSync(path);
  const bytes = file.length / rowCount;
  return Array.from({ length: rowCount }, (_, row) => {
    const one = new Uint8Array(bytes);
    one.set(file.subarray(row * bytes, (row + 1) * bytes));
    return new Float32Array(one.buffer);
  });
}

/** Kernels for one row and for many sum in different orders: |got - expected| <= 1e-4 + 1e-3 × |expected|. */
export function isAnswer(got: ArrayLike<number>, expected: Float32Array): boolean {
  if (got.length !== expected.length) return false;
  for (let index = 0; index < expected.length; index += 1) {
    const want = expected[index] ?? Number.NaN;
    // Written so that NaN fails.
    if (!(Math.abs((got[index] ?? Number.NaN) - want) <= 1e-4 + 1e-3 * Math.abs(want))) return false;
  }
  return true;
}
