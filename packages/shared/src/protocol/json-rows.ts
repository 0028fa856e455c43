/**
 * The rows of a tensor's `data`, flat or nested: checked against the shape before anything is allocated by it.
 * What stands in the rows is the business of `json-values.ts`.
 */
import { assertDepth, deepestNesting, refuseDepth } from './json-depth.js';
import { elementCount } from './tensor.js';
import { describeShape, describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';

/** Levels above `data` in a message: the message, its list, the tensor. */
export const levelsAboveData = 3;

/** The innermost rows of `data`, after checking that they are as many and as long as the shape says. */
export function collectRows(
  place: TensorPlace,
  shape: readonly number[],
  data: unknown,
): (readonly unknown[])[] {
  if (!Array.isArray(data)) {
    if (shape.length === 0) return [[data]];
    refuseTensor(place, 'request.tensor_value', `"data" must be an array, not ${describeValue(data)}`);
  }
  if (Array.isArray(data[0]) && shape.length > 1) {
    const rows: (readonly unknown[])[] = [];
    collectNested(place, shape, 0, data, rows);
    return rows;
  }
  const count = elementCount(shape);
  if (data.length !== count) {
    if (Array.isArray(data[0])) assertDepth(data, levelsAboveData + 1);
    refuseTensor(
      place,
      'request.tensor_length',
      `"data" holds ${data.length} elements, shape ${describeShape(shape)} takes ${count}`,
    );
  }
  return [data];
}

/** Recursive, but never deeper than the nesting limit. */
function collectNested(
  place: TensorPlace,
  shape: readonly number[],
  axis: number,
  data: readonly unknown[],
  rows: (readonly unknown[])[],
): void {
  if (data.length !== shape[axis]) {
    refuseTensor(
      place,
      'request.tensor_length',
      `"data" holds ${data.length} where dimension ${axis} of shape ${describeShape(shape)} takes ${shape[axis]}`,
    );
  }
  if (axis === shape.length - 1) {
    rows.push(data);
    return;
  }
  if (axis + levelsAboveData + 2 > deepestNesting) refuseDepth();
  for (const child of data) {
    if (!Array.isArray(child)) {
      refuseTensor(
        place,
        'request.tensor_shape',
        `"data" must be flat or nested as shape ${describeShape(shape)}; it has ${describeValue(child)} at level ${axis + 1}`,
      );
    }
    collectNested(place, shape, axis + 1, child, rows);
  }
}
