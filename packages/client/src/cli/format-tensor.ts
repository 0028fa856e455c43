/** Output tensors for people and for JSON: values nested as the shape, FP16 as numbers. */
import { fromHalfArray, fromHalfBits, toHalfBits } from '@troupe/shared';
import type { OutputTensor } from '../sdk/infer-result.js';
import { formatJsonText } from './json-text.js';

/** Elements that people are shown of one tensor. */
const shownElements = 64;

/** An output with plain values, as the command line writes it in JSON; `data` is flat, row-major. */
export function plainOutput(output: OutputTensor): {
  datatype: string;
  shape: readonly number[];
  data: readonly unknown[];
} {
  return {
    datatype: output.datatype,
    shape: output.shape,
    data: elementsOf(output).map((value) => plainValue(output, value)),
  };
}

/** Values in brackets as the shape nests them; the rest of a long tensor is counted, not shown. */
export function formatValues(output: OutputTensor): string {
  const elements = elementsOf(output);
  const show = (value: Element) =>
    typeof value === 'string'
      ? JSON.stringify(value)
      : formatJsonText(plainValue(output, value)).replaceAll('"', '');
  if (elements.length > shownElements) {
    const shown = elements.slice(0, shownElements).map(show).join(', ');
    return `${shown}, … ${elements.length - shownElements} more`;
  }
  let index = 0;
  const nest = (axis: number): string => {
    if (axis === output.shape.length) return show(elements[index++] as Element);
    const parts = Array.from({ length: output.shape[axis] ?? 0 }, () => nest(axis + 1));
    return `[${parts.join(', ')}]`;
  };
  return nest(0);
}

type Element = number | bigint | string;

function elementsOf(output: OutputTensor): readonly Element[] {
  if (output.datatype === 'FP16') return Array.from(fromHalfArray(output.data));
  return Array.from(output.data as ArrayLike<Element>);
}

/** BOOL as true and false; half and single precision in as few digits as tell a number apart. */
function plainValue(output: OutputTensor, value: Element): unknown {
  if (output.datatype === 'BOOL') return value === 1;
  if (typeof value !== 'number' || !Number.isFinite(value)) return value;
  if (output.datatype === 'FP16') return shortest(value, 3, (text) => fromHalfBits(toHalfBits(text)));
  if (output.datatype === 'FP32') return shortest(value, 6, Math.fround);
  return value;
}

/** The fewest digits, from a number of them that always survives, which `round` takes back to the value. */
function shortest(value: number, from: number, round: (candidate: number) => number): number {
  for (let digits = from; digits < 10; digits += 1) {
    const candidate = Number(value.toPrecision(digits));
    if (round(candidate) === value) return candidate;
  }
  return value;
}
