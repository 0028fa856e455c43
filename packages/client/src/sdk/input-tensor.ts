/** What callers may pass as an input, and `tensor()`, which says shape and datatype outright. Converts nothing. */
import { type Datatype, type NumericArray, TroupeError } from '@troupe/shared';

/** One element of an input: which kind fits is the datatype's matter (`element-writer.ts`). */
export type InputElement = number | bigint | boolean | string;

/** A typed array that some datatype takes. */
export type TypedArray = NumericArray | Uint8ClampedArray;

/** Arrays in arrays, row-major; the innermost may be typed arrays. */
export type NestedInput = InputElement | TypedArray | readonly NestedInput[];

/** Flat data with its shape, made by `tensor()`. An output of an earlier answer is one, too. */
export interface InputTensor {
  readonly data: TypedArray | readonly NestedInput[];
  readonly shape: readonly number[];
  /** Default: what the model wants. */
  readonly datatype?: Datatype;
}

/**
 * One input: a typed array (its shape follows from the signature, where at most one dimension is variable), nested
 * arrays, a single value for a scalar, or `tensor(data, shape, datatype?)`.
 */
export type InputValue = NestedInput | InputTensor;

/** All inputs: name → value, or the value alone where the model has one input. */
export type Inputs = InputValue | Readonly<Record<string, InputValue>>;

/**
 * Says the shape of flat, row-major data, and the datatype where it should be checked against the model's.
 * Throws `request.tensor_shape` for a shape that no tensor can have; the rest is checked against the model.
 *
 * @example tensor(new Float32Array(6), [2, 3])
 */
export function tensor(
  data: InputTensor['data'],
  shape: readonly number[],
  datatype?: Datatype,
): InputTensor {
  checkDims('tensor', shape);
  return datatype === undefined ? { data, shape: [...shape] } : { data, shape: [...shape], datatype };
}

/** Whether a value has the form of a tensor: `data` and `shape`. */
export function isInputTensor(value: unknown): value is InputTensor {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    'data' in value &&
    'shape' in value
  );
}

/** Refuses what is not a list of whole numbers from 0 on, or whose product no array can have. */
export function checkDims(what: string, shape: unknown): asserts shape is readonly number[] {
  if (!Array.isArray(shape)) {
    throw new TroupeError(
      'request.tensor_shape',
      `${what}: the shape is an array of dimensions, such as [1, 4], not ${describe(shape)}`,
    );
  }
  let count = 1;
  for (const [index, dim] of shape.entries()) {
    if (typeof dim !== 'number' || !Number.isSafeInteger(dim) || dim < 0) {
      throw new TroupeError(
        'request.tensor_shape',
        `${what}: dimension ${index} of the shape is ${describe(dim)}: a whole number from 0 on is wanted`,
      );
    }
    count *= dim;
  }
  if (!Number.isSafeInteger(count)) {
    throw new TroupeError(
      'request.tensor_shape',
      `${what}: shape ${formatShape(shape)} has more elements than any array can hold`,
    );
  }
}

/** A shape for messages, `[-1,4]`. */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(',')}]`;
}

/** What a value is, for messages: its type, and the value itself where it is short. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string')
    return `the string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 37)}...` : value)}`;
  if (typeof value === 'bigint') return `the bigint ${value}n`;
  if (typeof value === 'number' || typeof value === 'boolean') return `the ${typeof value} ${value}`;
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== 'Object' && name !== '' ? `a ${name}` : 'an object';
  }
  return `a ${typeof value}`;
}
