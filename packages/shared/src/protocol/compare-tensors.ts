/**
 * Compares a tensor that a model gave with the one it should have given: golden cases, the trial of batching,
 * shadow traffic. Rule: |got - want| <= absolute + relative × |want|. Integers, booleans and strings must be equal
 * whatever the tolerance; NaN passes only where NaN is wanted, an infinity only where the same one is.
 */
import { quoteName } from '../names/namespace.js';
import { type NumericArray, viewAs } from './datatype.js';
import { fromHalfArray } from './half.js';
import type { Tensor } from './tensor.js';
import { describeShape } from './tensor-place.js';

/** How far a float may be off. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** What is different, in plain words that name the largest difference; `undefined` where nothing is. */
export function compareTensors(got: Tensor, want: Tensor, tolerance: Tolerance): string | undefined {
  const name = quoteName(want.name);
  if (got.name !== want.name) return `the tensor is called ${quoteName(got.name)}, expected ${name}`;
  if (got.datatype !== want.datatype) return `${name} is ${got.datatype}, expected ${want.datatype}`;
  if (got.shape.length !== want.shape.length || got.shape.some((dim, axis) => dim !== want.shape[axis])) {
    return `${name} has shape ${describeShape(got.shape)}, expected ${describeShape(want.shape)}`;
  }
  const gotElements = elementsOf(got);
  const wantElements = elementsOf(want);
  if (gotElements.length !== wantElements.length) {
    return `${name} has ${gotElements.length} elements, expected ${wantElements.length}`;
  }
  const isFloat = want.datatype === 'FP16' || want.datatype === 'FP32' || want.datatype === 'FP64';
  return isFloat
    ? compareFloats(want, gotElements as Float64Array, wantElements as Float64Array, tolerance)
    : compareExactly(want, gotElements, wantElements);
}

function elementsOf({ datatype, data }: Tensor): NumericArray | readonly string[] {
  if (datatype === 'BYTES' || !(data instanceof Uint8Array)) return data as readonly string[];
  return datatype === 'FP16' ? fromHalfArray(viewAs('FP16', data)) : viewAs(datatype, data);
}

function compareFloats(
  want: Tensor,
  got: Float32Array | Float64Array,
  wanted: Float32Array | Float64Array,
  { absolute, relative }: Tolerance,
): string | undefined {
  let faults = 0;
  let worst = -1;
  let worstExcess = 0;
  for (let index = 0; index < wanted.length; index += 1) {
    const left = got[index] as number;
    const right = wanted[index] as number;
    if (left === right || (Number.isNaN(left) && Number.isNaN(right))) continue;
    const excess = Math.abs(left - right) - (absolute + relative * Math.abs(right));
    // Where either is not finite, the excess is NaN or compares wrongly: always a fault, and the worst one.
    const fault = Number.isFinite(left) && Number.isFinite(right) ? excess : Number.POSITIVE_INFINITY;
    if (fault <= 0) continue;
    faults += 1;
    if (fault > worstExcess) {
      worstExcess = fault;
      worst = index;
    }
  }
  if (worst < 0) return undefined;
  const left = got[worst] as number;
  const right = wanted[worst] as number;
  const off = Number.isFinite(left - right)
    ? `, off by ${show(Math.abs(left - right))} where ${show(absolute + relative * Math.abs(right))} is allowed`
    : '';
  return `${quoteName(want.name)} differs most at ${indexOf(worst, want.shape)}: ${left}, expected ${right}${off}${count(faults, wanted.length)}`;
}

function compareExactly(
  want: Tensor,
  got: ArrayLike<unknown>,
  wanted: ArrayLike<unknown>,
): string | undefined {
  let faults = 0;
  let worst = -1;
  let largest = -1;
  for (let index = 0; index < wanted.length; index += 1) {
    const left = got[index];
    const right = wanted[index];
    if (left === right) continue;
    faults += 1;
    // Strings have no size of difference; their first one is told.
    const difference = typeof left === 'string' ? 0 : Math.abs(Number(left) - Number(right));
    if (difference > largest) {
      largest = difference;
      worst = index;
    }
  }
  if (worst < 0) return undefined;
  const [left, right] = [got[worst], wanted[worst]].map((value) =>
    typeof value === 'string' ? quoteName(value) : String(value),
  );
  return `${quoteName(want.name)} differs most at ${indexOf(worst, want.shape)}: ${left}, expected ${right}${count(faults, wanted.length)}`;
}

function show(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function count(faults: number, all: number): string {
  return ` (${faults} of ${all} ${all === 1 ? 'element differs' : 'elements differ'})`;
}

/** A row-major position as an index, `[row,column]`. */
function indexOf(position: number, shape: readonly number[]): string {
  const index: number[] = [];
  let rest = position;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const dim = shape[axis] as number;
    index.unshift(rest % dim);
    rest = Math.floor(rest / dim);
  }
  return `[${index.join(',')}]`;
}
