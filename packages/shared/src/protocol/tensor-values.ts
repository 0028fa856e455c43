/** Builds tensors from plain JavaScript values: golden cases, and callers who have arrays and no bytes. */
import { datatypeBytes, isDatatype } from './datatype.js';
import { readJsonElements } from './json-values.js';
import type { Tensor } from './tensor.js';
import { describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';
import { parseShape } from './tensor-shape.js';

/**
 * A tensor of values, flat or nested as its shape. Besides what OIP's JSON allows, 64-bit integers may be bigints
 * or decimal strings, and floats may be NaN and infinities, also as "NaN", "Infinity" and "-Infinity".
 * Throws `request.tensor_datatype`, `request.tensor_shape`, `request.tensor_length`, `request.tensor_value`.
 */
export function tensorFromValues(
  name: string,
  datatype: string,
  shape: readonly number[],
  values: readonly unknown[],
): Tensor {
  return readTensorValues({ list: 'tensor', index: 0, name }, name, datatype, shape, values);
}

/** The same, for a tensor with a place in a list; nothing about the values is taken for granted. */
export function readTensorValues(
  place: TensorPlace,
  name: string,
  datatype: unknown,
  shape: unknown,
  values: unknown,
): Tensor {
  if (!isDatatype(datatype)) {
    refuseTensor(place, 'request.tensor_datatype', `datatype ${describeValue(datatype)} is not known`);
  }
  const dims = [...parseShape(place, shape, datatype === 'BYTES' ? 4 : datatypeBytes[datatype])];
  const { data } = readJsonElements(place, datatype, dims, values, 'lenient');
  return { name, datatype, shape: dims, data };
}
