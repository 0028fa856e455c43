/**
 * The JSON form of a tensor's elements: a flat array. 64-bit integers are plain digits, FP16 its exact numbers,
 * BOOL true and false, negative zero `-0`. JSON has no NaN and no infinities: their tensor is refused, never
 * written as null or text, and the message says to use the binary form.
 */
import type { ErrorReason } from '../errors/error-catalogue.js';
import { viewAs } from './datatype.js';
import { fromHalfArray } from './half.js';
import { joinSingles } from './single-text.js';
import type { Tensor } from './tensor.js';
import { refuseTensor, type TensorPlace } from './tensor-place.js';
import { isWellFormed } from './utf8-text.js';

/** The elements as JSON text. Throws `notJson` for a NaN or an infinity, with the way out in `remedy`. */
export function encodeJsonElements(
  place: TensorPlace,
  tensor: Tensor,
  notJson: ErrorReason,
  remedy: string,
): string {
  const { data, datatype } = tensor;
  if (datatype === 'BYTES' || !(data instanceof Uint8Array)) {
    const strings = data as readonly string[];
    const faulty = strings.findIndex((text) => !isWellFormed(text));
    if (faulty >= 0)
      refuseTensor(place, 'request.tensor_value', `element ${faulty} is not well-formed Unicode`);
    return JSON.stringify(strings);
  }
  if (datatype === 'BOOL') return `[${Array.from(data, (byte) => byte !== 0).join(',')}]`;
  if (datatype !== 'FP16' && datatype !== 'FP32' && datatype !== 'FP64')
    return `[${viewAs(datatype, data).join(',')}]`;
  const values = datatype === 'FP16' ? fromHalfArray(viewAs('FP16', data)) : viewAs(datatype, data);
  let negativeZero = false;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    // True of every finite number and of nothing else.
    if (value - value !== 0) {
      refuseTensor(place, notJson, `element ${index} is ${value}, which JSON cannot carry; ${remedy}`);
    }
    if (value === 0 && 1 / value < 0) negativeZero = true;
  }
  if (datatype === 'FP32') return `[${joinSingles(values)}]`;
  const numbers = Array.from(values);
  // `stringify` takes half the time of `join`, but knows no negative zero.
  if (!negativeZero) return JSON.stringify(numbers);
  return `[${numbers.map((value) => (Object.is(value, -0) ? '-0' : String(value))).join(',')}]`;
}
