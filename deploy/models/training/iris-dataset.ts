/**
 * Fisher's iris flowers: the measurements, the file they are kept in, and the split into training and held-out
 * flowers.
 */

import { SeededRandom } from '@troupe/shared/onnx';

/** Species in the order of the models' outputs. */
export const irisLabels = ['setosa', 'versicolor', 'virginica'] as const;

export interface IrisFlower {
  /** Sepal length, sepal width, petal length, petal width in centimetres. */
  readonly features: readonly [number, number, number, number];
  /** Index into `irisLabels`. */
  readonly label: number;
}

export interface IrisSplit {
  /** Row indexes from 0. */
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
}

const csvHeader = 'sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species';

/** The flowers of a CSV file with the header above. Throws an Error that names the line where one is malformed. */
export function parseIrisCsv(text: string): IrisFlower[] {
  const [header, ...lines] = text.trimEnd().split('\n');
  if (header !== csvHeader) {
    throw new Error(`iris CSV must begin with '${csvHeader}'`);
  }
  return lines.map((line, index) => {
    const cells = line.split(',');
    const [sepalLength, sepalWidth, petalLength, petalWidth] = cells.slice(0, 4).map(Number);
    const label = irisLabels.indexOf(cells[4] as (typeof irisLabels)[number]);
    if (
      cells.length !== 5 ||
      label < 0 ||
      !isLength(sepalLength) ||
      !isLength(sepalWidth) ||
      !isLength(petalLength) ||
      !isLength(petalWidth)
    ) {
      throw new Error(`iris CSV line ${index + 2} is malformed: '${line}'`);
    }
    return { features: [sepalLength, sepalWidth, petalLength, petalWidth], label };
  });
}

/** The CSV file of some flowers. */
export function formatIrisCsv(flowers: readonly IrisFlower[]): string {
  const lines = flowers.map(({ features, label }) => [...features, irisLabels[label]].join(','));
  return `${[csvHeader, ...lines].join('\n')}\n`;
}

/**
 * Splits flowers at random into 100 to train and the others held out, with each species in both as evenly as
 * it goes: 34, 33 and 33 to train.
 */
export function splitIris(flowers: readonly IrisFlower[], seed: number): IrisSplit {
  const random = new SeededRandom(seed);
  const trainCounts = [34, 33, 33];
  const train: number[] = [];
  const heldOut: number[] = [];
  irisLabels.forEach((_, label) => {
    const rows = flowers.flatMap((flower, row) => (flower.label === label ? [row] : []));
    random.shuffle(rows);
    train.push(...rows.slice(0, trainCounts[label]));
    heldOut.push(...rows.slice(trainCounts[label]));
  });
  const ascending = (a: number, b: number) => a - b;
  return { train: train.sort(ascending), heldOut: heldOut.sort(ascending) };
}

function isLength(value: number | undefined): value is number {
  return value !== undefined && value > 0 && value < 100;
}
