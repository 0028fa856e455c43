/** Reads shapes that come from outside. */
import type { ErrorReason } from '../errors/error-catalogue.js';
import { describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';

const reason: ErrorReason = 'request.tensor_shape';

/**
 * Checks that a value is a shape: non-negative integers whose product, leaving out zeros, is one that a number
 * holds exactly, in bytes too. Throws `request.tensor_shape`. Allocates nothing.
 */
export function parseShape(place: TensorPlace, shape: unknown, elementBytes: number): readonly number[] {
  if (!Array.isArray(shape)) {
    refuseTensor(
      place,
      reason,
      `"shape" must be an array of non-negative integers, not ${describeValue(shape)}`,
    );
  }
  let bytes = elementBytes;
  for (let index = 0; index < shape.length; index += 1) {
    const dim: unknown = shape[index];
    if (typeof dim !== 'number' || !Number.isSafeInteger(dim) || dim < 0) {
      refuseTensor(
        place,
        reason,
        `dimension ${index} of "shape" must be a non-negative integer, not ${describeValue(dim)}`,
      );
    }
    if (dim > 0) bytes *= dim;
  }
  if (!Number.isSafeInteger(bytes))
    refuseTensor(place, reason, '"shape" has more elements than can be counted');
  return shape as number[];
}
