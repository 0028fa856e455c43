/**
 * Makes up inputs for a model from its signature: for the trial at registration and for warm-up runs. Floats lie in
 * [-1, 1]; integers and texts are 0 and 1, so that what a model takes for a size, an index or a trip count stays
 * small. Seeded, so that a verdict can be had again.
 */
import {
  type Datatype,
  datatypeBytes,
  elementCount,
  type NumericDatatype,
  type Tensor,
  type TensorSpec,
  toHalfArray,
  viewAs,
} from '@troupe/shared';
import { SeededRandom } from '@troupe/shared/onnx';
import type { NamedDims } from './session-metadata.js';

/** Sizes for the variable dimensions. */
export interface DimSizes {
  /** For the first dimension of each input, and wherever else the same symbol stands. */
  readonly rows: number;
  /** For all other variable dimensions. */
  readonly otherwise: number;
}

/** The symbols that stand for the first dimension of some input. */
export function rowSymbols(inputDims: readonly (NamedDims | undefined)[]): ReadonlySet<string> {
  const symbols = new Set<string>();
  for (const dims of inputDims) {
    const first = dims?.[0];
    if (typeof first === 'string' && first !== '') symbols.add(first);
  }
  return symbols;
}

/** Made-up inputs for all of a signature. */
export function makeInputs(
  specs: readonly TensorSpec[],
  dims: readonly (NamedDims | undefined)[],
  sizes: DimSizes,
  seed: number,
): readonly Tensor[] {
  const random = new SeededRandom(seed);
  const symbols = rowSymbols(dims);
  // An unknown rank becomes one dimension.
  const choose = (named: NamedDims = ['']): readonly number[] =>
    named.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      return axis === 0 || symbols.has(dim) ? sizes.rows : sizes.otherwise;
    });
  return specs.map(({ name, datatype }, index) => {
    const shape = choose(dims[index]);
    return { name, datatype, shape, data: makeData(datatype, elementCount(shape), random) };
  });
}

function makeData(datatype: Datatype, count: number, random: SeededRandom): Tensor['data'] {
  const bit = () => (random.next() < 0.5 ? 0 : 1);
  if (datatype === 'BYTES') return Array.from({ length: count }, () => String(bit()));
  if (datatype === 'FP16') {
    return new Uint8Array(toHalfArray(Array.from({ length: count }, () => random.nextWithin(1))).buffer);
  }
  const bytes = new Uint8Array(count * datatypeBytes[datatype as NumericDatatype]);
  if (datatype === 'FP32' || datatype === 'FP64') {
    const values = viewAs(datatype, bytes);
    for (let index = 0; index < count; index += 1) values[index] = random.nextWithin(1);
  } else if (datatype === 'INT64' || datatype === 'UINT64') {
    const values = viewAs(datatype, bytes);
    for (let index = 0; index < count; index += 1) values[index] = BigInt(bit());
  } else {
    const values = viewAs(datatype, bytes);
    for (let index = 0; index < count; index += 1) values[index] = bit();
  }
  return bytes;
}
