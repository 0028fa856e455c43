/** Whether outputs hold numbers, or NaN and infinities. Pure. */
import type { Tensor } from '@troupe/shared';

/** Bits of the exponent: all set in an infinity or NaN (IEEE 754). */
const singleExponent = 0x7f80_0000;
const doubleExponent = 0x7ff0_0000;
const halfExponent = 0x7c00;

/** True where no float of these tensors is NaN or infinite; other datatypes always are finite. */
export function hasOnlyFinite(tensors: readonly Tensor[]): boolean {
  return tensors.every((tensor) => !someElement(tensor, false));
}

/** True where a tensor of floats holds at least one number; other datatypes, and empty tensors, do. */
export function hasSomeFinite(tensor: Tensor): boolean {
  const { data } = tensor;
  return !(data instanceof Uint8Array) || data.byteLength === 0 || someElement(tensor, true);
}

/** Whether some element is finite, or is not. */
function someElement({ data, datatype }: Tensor, finite: boolean): boolean {
  if (!(data instanceof Uint8Array)) return finite;
  switch (datatype) {
    case 'FP32':
      return someWord(data, 4, 0, singleExponent, finite);
    case 'FP64':
      return someWord(data, 8, 4, doubleExponent, finite);
    case 'FP16':
      return someHalf(data, finite);
    default:
      return finite;
  }
}

/** Little-endian words of which the exponent stands in the four bytes from `offset` on. */
function someWord(
  bytes: Uint8Array,
  size: number,
  offset: number,
  exponent: number,
  finite: boolean,
): boolean {
  if (bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
    const step = size / 4;
    for (let index = offset / 4; index < words.length; index += step) {
      if ((((words[index] as number) & exponent) !== exponent) === finite) return true;
    }
    return false;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = offset; at + 4 <= bytes.byteLength; at += size) {
    if (((view.getUint32(at, true) & exponent) !== exponent) === finite) return true;
  }
  return false;
}

function someHalf(bytes: Uint8Array, finite: boolean): boolean {
  for (let at = 1; at < bytes.byteLength; at += 2) {
    const isNumber = (((bytes[at] as number) << 8) & halfExponent) !== halfExponent;
    if (isNumber === finite) return true;
  }
  return false;
}
