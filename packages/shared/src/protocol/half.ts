/**
 * IEEE 754 half precision (FP16) to and from JavaScript numbers. Used by the JSON side of the codec, by the
 * comparison of tensors and by whoever shows FP16 values. Tensors themselves hold the raw bits.
 * Source: IEEE 754-2019, binary16: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits.
 */

const signBit = 0x8000;
const infinityBits = 0x7c00;
const nanBits = 0x7e00;

/** From here on a magnitude rounds to infinity: half a step above 65504, the largest finite half. */
export const halfOverflow = 65520;

/** Added and taken off again, it rounds a double below 2^51 to an integer, ties to even. */
const roundToInteger = 2 ** 52;

/** 2^(10 - exponent) for the exponents -14 to 15: turns a magnitude into steps of its half's last bit. */
const stepsPerUnit = Float64Array.from({ length: 30 }, (_, index) => 2 ** (24 - index));

const scratch = new DataView(new ArrayBuffer(8));

/** The nearest half, ties to even, rounded once from the double. Too large becomes infinity, NaN the quiet NaN. */
export function toHalfBits(value: number): number {
  if (Number.isNaN(value)) return nanBits;
  const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= halfOverflow) return sign | infinityBits;
  scratch.setFloat64(0, magnitude);
  // Exponent of the double, but no less than that of the subnormal halves.
  const exponent = Math.max((scratch.getUint32(0) >>> 20) - 1023, -14);
  const steps = magnitude * (stepsPerUnit[exponent + 14] as number) + roundToInteger - roundToInteger;
  // A normal half has 1024 to 2048 steps; its implied bit (or a carry) lands in the exponent by addition.
  return sign | (((exponent + 14) << 10) + steps);
}

/** The number that a half stands for, exactly. */
export function fromHalfBits(bits: number): number {
  const sign = (bits & signBit) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return (sign * (1024 + fraction)) / (stepsPerUnit[exponent - 1] as number);
}

/** Numbers as half bits; see {@link toHalfBits}. */
export function toHalfArray(values: ArrayLike<number>): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let index = 0; index < halves.length; index += 1) halves[index] = toHalfBits(values[index] as number);
  return halves;
}

/** Half bits as numbers; a half is exact in float32. */
export function fromHalfArray(halves: ArrayLike<number>): Float32Array {
  const values = new Float32Array(halves.length);
  for (let index = 0; index < values.length; index += 1)
    values[index] = fromHalfBits(halves[index] as number);
  return values;
}
