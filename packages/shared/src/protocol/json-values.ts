/**
 * JSON values to the elements of a tensor: what may stand in `data` for each datatype. Called for the tensors
 * of messages (strict) and for golden cases (lenient); must not allocate by a shape before the values bear it out.
 */
import { type Datatype, datatypeBytes, type NumericDatatype, viewAs } from './datatype.js';
import { halfOverflow, toHalfBits } from './half.js';
import { assertDepth } from './json-depth.js';
import { collectRows, levelsAboveData } from './json-rows.js';
import { elementCount, type Tensor } from './tensor.js';
import { describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';
import { isWellFormed } from './utf8-text.js';

/**
 * `strict` is JSON as messages carry it. `lenient` also takes what JavaScript and hand-written files need:
 * 64-bit integers as bigint or decimal string; NaN and infinities as numbers or as "NaN", "Infinity", "-Infinity".
 */
export type ValueDialect = 'strict' | 'lenient';

/** Elements of a tensor, and whether a 64-bit integer among them was too large for the number it came as. */
export interface JsonElements {
  readonly data: Tensor['data'];
  readonly lossy: boolean;
}

/**
 * The elements of `data`, flat or nested, in row-major order. Throws `request.tensor_length` (too many or too
 * few), `request.tensor_shape` (nested otherwise than the shape), `request.tensor_value`, `request.json_depth`.
 */
export function readJsonElements(
  place: TensorPlace,
  datatype: Datatype,
  shape: readonly number[],
  data: unknown,
  dialect: ValueDialect,
): JsonElements {
  const rows = collectRows(place, shape, data);
  if (datatype === 'BYTES') return { data: readStrings(place, rows), lossy: false };
  const bytes = new Uint8Array(elementCount(shape) * datatypeBytes[datatype]);
  const lossy = writeRows(place, datatype, bytes, rows, dialect);
  return { data: bytes, lossy };
}

function readStrings(place: TensorPlace, rows: readonly (readonly unknown[])[]): string[] {
  const strings: string[] = [];
  for (const row of rows) {
    for (const value of row) {
      if (typeof value !== 'string') refuseValue(place, 'BYTES', strings.length, value, 'strings');
      if (!isWellFormed(value)) refuseValue(place, 'BYTES', strings.length, value, 'well-formed Unicode');
      strings.push(value);
    }
  }
  return strings;
}

/** Open bounds of each datatype that a JSON number can hold exactly enough, and what it takes, in words. */
interface NumberRule {
  readonly above: number;
  readonly below: number;
  readonly integral: boolean;
  readonly takes: string;
}

const integers = (low: number, high: number): NumberRule => ({
  above: low - 1,
  below: high + 1,
  integral: true,
  takes: `integers from ${low} to ${high}`,
});
const floats = (limit: number, takes: string): NumberRule => ({
  above: -limit,
  below: limit,
  integral: false,
  takes,
});

/** From here on a double rounds to infinity in float32: half a step above its largest finite number. */
const singleOverflow = 2 ** 128 - 2 ** 103;

type SmallDatatype = Exclude<NumericDatatype, 'BOOL' | 'INT64' | 'UINT64'>;
const numberRules: Readonly<Record<SmallDatatype, NumberRule>> = {
  UINT8: integers(0, 0xff),
  UINT16: integers(0, 0xffff),
  UINT32: integers(0, 0xffff_ffff),
  INT8: integers(-0x80, 0x7f),
  INT16: integers(-0x8000, 0x7fff),
  INT32: integers(-0x8000_0000, 0x7fff_ffff),
  FP16: floats(halfOverflow, 'finite numbers within half precision'),
  FP32: floats(singleOverflow, 'finite numbers within single precision'),
  FP64: floats(Number.POSITIVE_INFINITY, 'finite numbers'),
};

/** Writes rows one after another; whether a 64-bit integer came too large for a number. */
function writeRows(
  place: TensorPlace,
  datatype: NumericDatatype,
  bytes: Uint8Array,
  rows: readonly (readonly unknown[])[],
  dialect: ValueDialect,
): boolean {
  let at = 0;
  let lossy = false;
  const target = viewAs(datatype, bytes);
  for (const given of rows) {
    if (datatype === 'BOOL') writeBooleans(place, bytes, at, given);
    else if (datatype === 'INT64' || datatype === 'UINT64') {
      lossy = writeLongs(place, datatype, target as BigInt64Array, at, given, dialect) || lossy;
    } else {
      const row = dialect === 'lenient' ? given.map(namedNumber) : given;
      checkNumbers(place, datatype, at, row, dialect);
      if (datatype === 'FP16')
        for (let i = 0; i < row.length; i += 1) target[at + i] = toHalfBits(row[i] as number);
      // Checked above: `set` itself would take strings and null.
      else (target as Float64Array).set(row as number[], at);
    }
    at += given.length;
  }
  return lossy;
}

function writeBooleans(place: TensorPlace, bytes: Uint8Array, at: number, row: readonly unknown[]): void {
  for (let index = 0; index < row.length; index += 1) {
    const value = row[index];
    if (value === true || value === 1) bytes[at + index] = 1;
    else if (value !== false && value !== 0) {
      refuseValue(place, 'BOOL', at + index, value, 'true, false, 0 and 1');
    }
  }
}

function checkNumbers(
  place: TensorPlace,
  datatype: SmallDatatype,
  at: number,
  row: readonly unknown[],
  dialect: ValueDialect,
): void {
  const { above, below, integral, takes } = numberRules[datatype];
  for (let index = 0; index < row.length; index += 1) {
    const value = row[index];
    if (typeof value === 'number' && value > above && value < below && (!integral || Number.isInteger(value)))
      continue;
    if (dialect === 'lenient' && !integral && typeof value === 'number' && !Number.isFinite(value)) continue;
    refuseValue(place, datatype, at + index, value, takes);
  }
}

const longRanges = {
  INT64: { low: -(2n ** 63n), high: 2n ** 63n - 1n },
  UINT64: { low: 0n, high: 2n ** 64n - 1n },
};

/** Writes 64-bit integers; those that a number may have rounded are left out and reported, in strict JSON. */
function writeLongs(
  place: TensorPlace,
  datatype: 'INT64' | 'UINT64',
  target: BigInt64Array | BigUint64Array,
  at: number,
  row: readonly unknown[],
  dialect: ValueDialect,
): boolean {
  // The ends themselves may be larger numbers that were rounded; those come again as bigints.
  const lowest = datatype === 'INT64' ? -(2 ** 63) : 0;
  const highest = datatype === 'INT64' ? 2 ** 63 : 2 ** 64;
  const words = new Int32Array(target.buffer, target.byteOffset + at * 8, row.length * 2);
  let lossy = false;
  for (let index = 0; index < row.length; index += 1) {
    const value = row[index];
    if (typeof value === 'number' && Number.isInteger(value) && value >= lowest && value <= highest) {
      if (!Number.isSafeInteger(value)) lossy = true;
      // Two halves are several times faster than a bigint for each element.
      words[index * 2] = value >>> 0;
      words[index * 2 + 1] = Math.floor(value / 0x1_0000_0000);
      continue;
    }
    const long = dialect === 'lenient' && typeof value === 'string' ? parseDigits(value) : value;
    const { low, high } = longRanges[datatype];
    if (typeof long !== 'bigint' || long < low || long > high) {
      refuseValue(place, datatype, at + index, value, `integers from ${low} to ${high}`);
    }
    target[at + index] = long;
  }
  if (lossy && dialect === 'lenient') {
    refuseTensor(place, 'request.tensor_value', 'integers beyond 2^53 must be bigints or decimal strings');
  }
  return lossy;
}

function parseDigits(text: string): bigint | undefined {
  return /^-?[0-9]{1,20}$/.test(text) ? BigInt(text) : undefined;
}

function namedNumber(value: unknown): unknown {
  if (value === 'NaN') return Number.NaN;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  return value === '-Infinity' ? Number.NEGATIVE_INFINITY : value;
}

function refuseValue(
  place: TensorPlace,
  datatype: Datatype,
  at: number,
  value: unknown,
  takes: string,
): never {
  if (Array.isArray(value)) {
    assertDepth(value, levelsAboveData + 2);
    refuseTensor(place, 'request.tensor_shape', '"data" is nested otherwise than the shape says');
  }
  refuseTensor(
    place,
    'request.tensor_value',
    `element ${at} of "data" is ${describeValue(value)}; ${datatype} takes ${takes}`,
  );
}
