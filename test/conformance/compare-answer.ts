/** Compares an answer with what a case expects. */
import { compareTensors, fromHalfArray, type Tensor } from '@troupe/shared';
import type { LoadedSet } from './case-folder.js';

const zeroTolerance = { absolute: 0, relative: 0 };

/**
 * What is wrong with an answer; undefined where nothing is. Outputs may come in any order; a set need not say what all
 * outputs are, but there is none that the model (`names`) does not have.
 */
export function findFault(
  got: readonly Tensor[],
  expected: readonly Tensor[],
  tolerance: LoadedSet['tolerance'],
  names: readonly string[] = expected.map(({ name }) => name),
): string | undefined {
  const given = got.map(({ name }) => name);
  if (given.length !== names.length || !given.every((name) => names.includes(name))) {
    return `it has the outputs ${given.join(', ')}; expected ${names.join(', ')}`;
  }
  for (const want of expected) {
    const output = got.find(({ name }) => name === want.name);
    if (output === undefined) return `output ${want.name} is missing`;
    const fault = compareTensors(output, want, tolerance === 'exact' ? zeroTolerance : tolerance);
    if (fault !== undefined) return fault;
    if (tolerance === 'exact' && !equalBits(output, want)) return `${want.name} is not the same bit for bit`;
  }
  return undefined;
}

/** Equal values were seen; this tells -0 from 0. A NaN may have other bits. */
function equalBits(got: Tensor, want: Tensor): boolean {
  const left = floatsOf(got);
  const right = floatsOf(want);
  return (
    left === undefined || right === undefined || right.every((value, index) => Object.is(value, left[index]))
  );
}

function floatsOf({ datatype, data }: Tensor): Float32Array | Float64Array | undefined {
  if (!(data instanceof Uint8Array)) return undefined;
  const aligned = new Uint8Array(data).buffer;
  if (datatype === 'FP16') return fromHalfArray(new Uint16Array(aligned));
  if (datatype === 'FP32') return new Float32Array(aligned);
  return datatype === 'FP64' ? new Float64Array(aligned) : undefined;
}
