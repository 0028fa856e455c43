/**
 * Requests with other rows, for versions whose requests are merged: sixteen equal copies in one batch would not show
 * a row that went to the wrong caller.
 */
import { datatypeBytes, type Tensor } from '@troupe/shared';
import type { LoadedSet } from './case-folder.js';

export interface Variant {
  readonly inputs: readonly Tensor[];
  /** Undefined where only the model itself knows: then it is asked alone first. */
  readonly expected: readonly Tensor[] | undefined;
}

/** Rows of one request; the whole request where its tensors do not have equally many rows. */
function rowCountOf(tensors: readonly Tensor[]): number | undefined {
  const counts = new Set(tensors.map(({ shape }) => shape[0]));
  const [count] = counts;
  return counts.size === 1 && count !== undefined && count > 0 ? count : undefined;
}

/** The rows of a tensor at these positions, each turned by so many elements. */
function pickRows(tensor: Tensor, rows: readonly number[], turn: number): Tensor {
  const { data, datatype, shape } = tensor;
  const count = shape[0] ?? 1;
  const picked = { ...tensor, shape: [rows.length, ...shape.slice(1)] };
  if (datatype === 'BYTES' || !(data instanceof Uint8Array)) {
    const strings = data as readonly string[];
    const width = strings.length / count;
    return {
      ...picked,
      data: rows.flatMap((row) => turned(strings.slice(row * width, (row + 1) * width), turn)),
    };
  }
  const rowBytes = data.length / count;
  const turnBytes = rowBytes === 0 ? 0 : (turn * datatypeBytes[datatype]) % rowBytes;
  const parts = rows.flatMap((row) => {
    const bytes = data.subarray(row * rowBytes, (row + 1) * rowBytes);
    return [bytes.subarray(turnBytes), bytes.subarray(0, turnBytes)];
  });
  return { ...picked, data: new Uint8Array(Buffer.concat(parts)) };
}

function turned<T>(list: readonly T[], turn: number): T[] {
  const start = list.length === 0 ? 0 : turn % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/**
 * `count` variants of a set: the set itself; then selections of its rows, one to four, whose outputs are known; then,
 * from the middle on, rows whose elements are turned around, whose outputs are not. Undefined where inputs and
 * outputs do not have their rows in common.
 */
export function rowVariants(set: LoadedSet, count: number): Variant[] | undefined {
  const rows = rowCountOf([...set.inputs, ...set.expected]);
  if (rows === undefined) return undefined;
  return Array.from({ length: count }, (_, index): Variant => {
    if (index === 0) return { inputs: set.inputs, expected: set.expected };
    const selection = Array.from({ length: 1 + (index % 4) }, (_, position) => (index + position) % rows);
    const turn = index < count / 2 ? 0 : index;
    const pick = (tensor: Tensor, by: number) => pickRows(tensor, selection, by);
    return {
      inputs: set.inputs.map((tensor) => pick(tensor, turn)),
      expected: turn === 0 ? set.expected.map((tensor) => pick(tensor, 0)) : undefined,
    };
  });
}
