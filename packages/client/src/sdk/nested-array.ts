/**
 * Reads nested arrays: their shape, and their elements (or innermost typed arrays) in row-major order. Ragged arrays
 * are refused with the place of the first row that differs. Knows nothing of datatypes. Called by `convert-input.ts`.
 */
import { TroupeError } from '@troupe/shared';
import { describe, type TypedArray } from './input-tensor.js';

/** No tensor of ONNX Runtime has as many dimensions; the limit keeps cyclic arrays from overflowing the stack. */
const maxRank = 32;

/** What nested arrays hold, flat. */
export type FlatInput =
  | { readonly kind: 'elements'; readonly shape: readonly number[]; readonly elements: readonly unknown[] }
  | { readonly kind: 'rows'; readonly shape: readonly number[]; readonly rows: readonly TypedArray[] };

/** A typed array of whatever kind; a DataView is none. */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** Flattens nested arrays; a single value has shape `[]`. `input` is its name for messages, quoted. Throws `request.tensor_shape` for ragged or endless ones. */
export function flattenNested(input: string, value: unknown): FlatInput {
  const shape = shapeAlongFirst(input, value);
  const elements: unknown[] = [];
  const rows: TypedArray[] = [];
  const path: number[] = [];
  const walk = (level: unknown, depth: number): void => {
    if (isTypedArray(level) && depth === shape.length - 1 && level.length === shape[depth]) {
      rows.push(level);
      return;
    }
    if (depth === shape.length) {
      if (Array.isArray(level) || isTypedArray(level)) {
        throw ragged(input, path, `is ${describe(level)}`, 'a single value stands in its place before it');
      }
      elements.push(level);
      return;
    }
    if (!Array.isArray(level) && !isTypedArray(level)) {
      throw ragged(
        input,
        path,
        `is ${describe(level)}`,
        `the first in its place is an array of ${shape[depth]}`,
      );
    }
    if (level.length !== shape[depth]) {
      throw ragged(input, path, `has ${level.length} elements`, `the first in its place has ${shape[depth]}`);
    }
    for (let index = 0; index < level.length; index += 1) {
      path.push(index);
      walk(level[index], depth + 1);
      path.pop();
    }
  };
  walk(value, 0);
  if (rows.length === 0) return { kind: 'elements', shape, elements };
  if (elements.length === 0) return { kind: 'rows', shape, rows };
  throw new TroupeError(
    'request.tensor_shape',
    `input ${input} mixes typed arrays with plain arrays: use one of the two for all rows`,
  );
}

/** The place of an element of a tensor, `x[1][3]`. */
export function placeOf(input: string, shape: readonly number[], index: number): string {
  const path: number[] = [];
  let rest = index;
  for (const dim of [...shape].reverse()) {
    path.unshift(rest % dim);
    rest = Math.floor(rest / dim);
  }
  return formatPlace(input, path);
}

function formatPlace(input: string, path: readonly number[]): string {
  return `${input}${path.map((index) => `[${index}]`).join('')}`;
}

function shapeAlongFirst(input: string, value: unknown): number[] {
  const shape: number[] = [];
  let level: unknown = value;
  while (Array.isArray(level) || isTypedArray(level)) {
    if (shape.length === maxRank) {
      throw new TroupeError(
        'request.tensor_shape',
        `input ${input}: arrays are nested deeper than ${maxRank}`,
      );
    }
    shape.push(level.length);
    if (level.length === 0) break;
    level = level[0];
  }
  return shape;
}

function ragged(input: string, path: readonly number[], got: string, wanted: string): TroupeError {
  return new TroupeError(
    'request.tensor_shape',
    `input ${formatPlace(input, path)} ${got}, but ${wanted}: all rows of a tensor are of one length`,
  );
}
