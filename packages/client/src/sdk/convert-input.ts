/**
 * One input value to the tensor that goes on the wire, checked against the signature before anything is sent.
 * Called by `convert-inputs.ts`. The ranges of numbers are `tensorFromValues`' matter, in @troupe/shared.
 */
import {
  type Datatype,
  elementCount,
  isDatatype,
  quoteName,
  type Tensor,
  type TensorSpec,
  TroupeError,
  tensorFromValues,
} from '@troupe/shared';
import { assertShapeFits, shapeOfLength } from './input-shape.js';
import {
  checkDims,
  describe,
  formatShape,
  type InputTensor,
  isInputTensor,
  type TypedArray,
} from './input-tensor.js';
import { type FlatInput, flattenNested, isTypedArray, placeOf } from './nested-array.js';

/** Converts an input. Throws `request.tensor_*`, naming the input, what it wants and what it got. */
export function convertInput(spec: TensorSpec, value: unknown): Tensor {
  if (isInputTensor(value)) return convertTensor(spec, value);
  if (isTypedArray(value)) {
    const bytes = bytesOf(spec, value);
    return tensorOf(spec, shapeOfLength(spec, value.length), bytes);
  }
  const flat = flattenNested(quoteName(spec.name), value);
  if (flat.kind === 'elements' && flat.shape.length === 0)
    assertElement(spec, value, () => quoteName(spec.name));
  assertShapeFits(spec, flat.shape);
  return convertFlat(spec, flat, flat.shape);
}

function convertTensor(spec: TensorSpec, value: InputTensor): Tensor {
  if (value.datatype !== undefined && value.datatype !== spec.datatype) {
    const given = isDatatype(value.datatype) ? value.datatype : describe(value.datatype);
    throw new TroupeError(
      'request.tensor_datatype',
      `input ${quoteName(spec.name)} wants ${spec.datatype}, got ${given}`,
    );
  }
  checkDims(`input ${quoteName(spec.name)}`, value.shape);
  assertShapeFits(spec, value.shape);
  const { data, shape } = value;
  if (isTypedArray(data)) {
    const bytes = bytesOf(spec, data);
    assertCount(spec, shape, data.length);
    return tensorOf(spec, shape, bytes);
  }
  if (!Array.isArray(data)) {
    throw new TroupeError(
      'request.tensor_datatype',
      `input ${quoteName(spec.name)}: the data of a tensor is a typed array or an array, not ${describe(data)}`,
    );
  }
  const flat = flattenNested(quoteName(spec.name), data);
  if (flat.shape.length > 1 && formatShape(flat.shape) !== formatShape(shape)) {
    throw new TroupeError(
      'request.tensor_shape',
      `input ${quoteName(spec.name)}: the data is nested as ${formatShape(flat.shape)}, the shape says ${formatShape(shape)}`,
    );
  }
  assertCount(spec, shape, elementCount(flat.shape));
  return convertFlat(spec, flat, shape);
}

function convertFlat(spec: TensorSpec, flat: FlatInput, shape: readonly number[]): Tensor {
  if (flat.kind === 'rows') {
    const parts = flat.rows.map((row) => bytesOf(spec, row));
    return tensorOf(spec, shape, Buffer.concat(parts));
  }
  flat.elements.forEach((element, index) => {
    assertElement(spec, element, () => placeOf(quoteName(spec.name), flat.shape, index));
  });
  return tensorFromValues(spec.name, spec.datatype, shape, flat.elements);
}

function tensorOf(spec: TensorSpec, shape: readonly number[], data: Uint8Array): Tensor {
  return { name: spec.name, datatype: spec.datatype, shape: [...shape], data };
}

function assertCount(spec: TensorSpec, shape: readonly number[], count: number): void {
  const takes = elementCount(shape);
  if (count === takes) return;
  throw new TroupeError(
    'request.tensor_length',
    `input ${quoteName(spec.name)} has ${count} elements, shape ${formatShape(shape)} takes ${takes}`,
  );
}

/** What each datatype takes: the typed arrays by name, the JavaScript type of an element, and both in words. */
interface DatatypeRule {
  readonly arrays: readonly string[];
  readonly element: (value: unknown) => boolean;
  readonly takes: string;
}

const isNumber = (value: unknown) => typeof value === 'number';
const isInteger64 = (value: unknown) =>
  typeof value === 'bigint' ||
  typeof value === 'number' ||
  (typeof value === 'string' && /^-?\d+$/.test(value));
const numbers = (...arrays: string[]): DatatypeRule => ({
  arrays,
  element: isNumber,
  takes: `numbers or a ${arrays[0]}`,
});
const integers64 = (array: string): DatatypeRule => ({
  arrays: [array],
  element: isInteger64,
  takes: `bigints, safe integers or a ${array}`,
});

const rules: Readonly<Record<Datatype, DatatypeRule>> = {
  BOOL: {
    arrays: ['Uint8Array'],
    element: (value) => typeof value === 'boolean' || value === 0 || value === 1,
    takes: 'booleans or a Uint8Array of 0 and 1',
  },
  UINT8: numbers('Uint8Array', 'Uint8ClampedArray'),
  UINT16: numbers('Uint16Array'),
  UINT32: numbers('Uint32Array'),
  UINT64: integers64('BigUint64Array'),
  INT8: numbers('Int8Array'),
  INT16: numbers('Int16Array'),
  INT32: numbers('Int32Array'),
  INT64: integers64('BigInt64Array'),
  // Float16Array: Node 24 and later; its memory is the same bits.
  FP16: {
    arrays: ['Uint16Array', 'Float16Array'],
    element: isNumber,
    takes: 'numbers or a Uint16Array of half bits',
  },
  FP32: numbers('Float32Array'),
  FP64: numbers('Float64Array'),
  BYTES: { arrays: [], element: (value) => typeof value === 'string', takes: 'strings' },
};

function assertElement(spec: TensorSpec, value: unknown, at: () => string): void {
  const rule = rules[spec.datatype];
  if (rule.element(value)) return;
  throw new TroupeError(
    'request.tensor_datatype',
    `input ${at()} wants ${spec.datatype} (${rule.takes}), got ${describe(value)}`,
  );
}

/** The bytes of a typed array, without a copy: encoding copies them. */
function bytesOf(spec: TensorSpec, array: TypedArray): Uint8Array {
  const rule = rules[spec.datatype];
  // The tag is the typed array's own, also for a Buffer and for arrays of another realm.
  const kind = array[Symbol.toStringTag];
  if (!rule.arrays.includes(kind)) {
    throw new TroupeError(
      'request.tensor_datatype',
      `input ${quoteName(spec.name)} wants ${spec.datatype} (${rule.takes}), got a ${kind}`,
    );
  }
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  if (spec.datatype === 'BOOL') {
    const wrong = bytes.findIndex((byte) => byte > 1);
    if (wrong !== -1) {
      throw new TroupeError(
        'request.tensor_value',
        `input ${quoteName(spec.name)}: element ${wrong} is ${bytes[wrong]}; BOOL takes 0 and 1`,
      );
    }
  }
  return bytes;
}
