/**
 * Datatypes of the Open Inference Protocol that ONNX Runtime's JavaScript API can hold, and the typed array
 * that carries each. Source: OIP v2, "Tensor Data Types"; onnxruntime-common `tensor.ts`.
 */

/** Datatype of a tensor (wire format). */
export const Datatype = {
  Bool: 'BOOL',
  Uint8: 'UINT8',
  Uint16: 'UINT16',
  Uint32: 'UINT32',
  Uint64: 'UINT64',
  Int8: 'INT8',
  Int16: 'INT16',
  Int32: 'INT32',
  Int64: 'INT64',
  Fp16: 'FP16',
  Fp32: 'FP32',
  Fp64: 'FP64',
  Bytes: 'BYTES',
} as const;
export type Datatype = (typeof Datatype)[keyof typeof Datatype];

/** Datatypes whose elements have a fixed size. */
export type NumericDatatype = Exclude<Datatype, 'BYTES'>;

/** Bytes of one element, row-major and little-endian on the wire. */
export const datatypeBytes: Readonly<Record<NumericDatatype, 1 | 2 | 4 | 8>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
};

/** The typed array of each datatype: BOOL as 0 and 1, FP16 as raw IEEE 754 half bits. */
export interface DatatypeArrays {
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  FP16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
}
export type NumericArray = DatatypeArrays[NumericDatatype];

/** Whether a string from outside names a datatype that we carry. */
export function isDatatype(value: unknown): value is Datatype {
  return value === 'BYTES' || (typeof value === 'string' && Object.hasOwn(datatypeBytes, value));
}

const constructors = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/**
 * The bytes of a tensor as the typed array of its datatype: a view where the alignment allows, else a copy.
 * `bytes.byteLength` must be a multiple of the element size.
 */
export function viewAs<D extends NumericDatatype>(datatype: D, bytes: Uint8Array): DatatypeArrays[D] {
  const size = datatypeBytes[datatype];
  // Not `slice()`: that of a Buffer copies nothing.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const array = new constructors[datatype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / size,
  );
  return array as DatatypeArrays[D];
}
