/**
 * JSON without loss for 64-bit integers: written as plain digits, read as bigints where a number would round them.
 * For the command line's own input and output; messages of the cluster have their codec in @troupe/shared.
 */

import { randomUUID } from 'node:crypto';

/** Begins the strings that stand for integers in between; no text from outside can know it. */
const mark = `integer-${randomUUID()}:`;
const markedInteger = new RegExp(`"${mark}(-?\\d+)"`, 'g');

/** Strings as a whole (passed over), or integers that a number may not hold; not those with a fraction or exponent. */
const stringOrLongInteger = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/** Parses JSON; integers beyond 2^53 become bigints. Throws SyntaxError. */
export function parseJsonText(text: string): unknown {
  // Checked first as it is, so that errors speak of the caller's text.
  const plain: unknown = JSON.parse(text);
  const marked = text.replace(stringOrLongInteger, (token) =>
    token.startsWith('"') ? token : `"${mark}${token}"`,
  );
  if (marked === text) return plain;
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value;
    const integer = BigInt(value.slice(mark.length));
    const number = Number(integer);
    return Number.isSafeInteger(number) ? number : integer;
  });
}

/** Writes one value as JSON: bigints as digits, typed arrays as arrays, NaN and infinities by name. */
export function formatJsonText(value: unknown): string {
  const text = JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return `${mark}${member}`;
    if (typeof member === 'number' && !Number.isFinite(member)) return String(member);
    if (ArrayBuffer.isView(member) && !(member instanceof DataView))
      return Array.from(member as Float32Array);
    return member;
  });
  return text.replace(markedInteger, '$1');
}
