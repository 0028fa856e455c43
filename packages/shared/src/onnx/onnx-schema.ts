/**
 * Field numbers and closed value sets of onnx.proto3 (ONNX 1.22, IR version 13), shared by the model writer
 * and the model reader so that neither can drift from the other.
 *
 * Holds constants only. Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
 */

export const modelFields = {
  irVersion: 1,
  producerName: 2,
  graph: 7,
  opsetImport: 8,
  metadataProps: 14,
  trainingInfo: 20,
  functions: 25,
} as const;

export const trainingInfoFields = { initialization: 1, algorithm: 2 } as const;

export const functionFields = { name: 1, node: 7, opsetImport: 9, domain: 10, attributeProto: 11 } as const;

export const graphFields = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  valueInfo: 13,
  sparseInitializer: 15,
} as const;

export const nodeFields = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;

export const attributeFields = {
  name: 1,
  float: 2,
  int: 3,
  string: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  typeProto: 14,
  typeProtos: 15,
  type: 20,
  sparseTensor: 22,
  sparseTensors: 23,
} as const;

/** AttributeProto.AttributeType: required beside the value since IR version 2. */
export const attributeTypeCodes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  typeProto: 13,
  typeProtos: 14,
} as const;

export const tensorFields = {
  dims: 1,
  dataType: 2,
  stringData: 6,
  name: 8,
  rawData: 9,
  externalData: 13,
  dataLocation: 14,
} as const;

/** TensorProto.DataLocation.EXTERNAL: the values are in a file beside the model. */
export const externalDataLocation = 1;

export const sparseTensorFields = { values: 1, indices: 2, dims: 3 } as const;

export const valueInfoFields = { name: 1, type: 2 } as const;

export const typeFields = {
  tensor: 1,
  sequence: 4,
  map: 5,
  opaque: 7,
  sparseTensor: 8,
  optional: 9,
} as const;

/** TypeProto.Tensor and TypeProto.SparseTensor have the same two fields. */
export const tensorTypeFields = { elementType: 1, shape: 2 } as const;

/** TypeProto.Sequence and TypeProto.Optional have the same single field. */
export const wrapperTypeFields = { element: 1 } as const;

export const mapTypeFields = { keyType: 1, valueType: 2 } as const;

export const shapeFields = { dim: 1 } as const;

export const dimensionFields = { value: 1, param: 2 } as const;

export const opsetFields = { domain: 1, version: 2 } as const;

export const entryFields = { key: 1, value: 2 } as const;

/** TensorProto.DataType by its ONNX name. */
export const elementTypeCodes = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
  UINT2: 25,
  INT2: 26,
} as const;

/** An element type by its ONNX name, for example `FLOAT`. */
export type ElementType = keyof typeof elementTypeCodes;

/**
 * The Open Inference Protocol datatype of each element type that a request can carry; what is missing here
 * cannot be held by ONNX Runtime's JavaScript API and so is not served.
 */
export const datatypeOfElementType = {
  BOOL: 'BOOL',
  UINT8: 'UINT8',
  UINT16: 'UINT16',
  UINT32: 'UINT32',
  UINT64: 'UINT64',
  INT8: 'INT8',
  INT16: 'INT16',
  INT32: 'INT32',
  INT64: 'INT64',
  FLOAT16: 'FP16',
  FLOAT: 'FP32',
  DOUBLE: 'FP64',
  STRING: 'BYTES',
} as const satisfies Partial<Record<ElementType, string>>;

/** An element type that can be served. */
export type ServableElementType = keyof typeof datatypeOfElementType;

const elementTypesByCode = new Map<number, ElementType>(
  Object.entries(elementTypeCodes).map(([name, code]) => [code, name as ElementType]),
);

/** The ONNX name of an element type's code; `undefined` for 0 (not stated) and for codes newer than this table. */
export function elementTypeOfCode(code: number): ElementType | undefined {
  return elementTypesByCode.get(code);
}

/** Whether tensors of this element type can be served. */
export function isServableElementType(elementType: ElementType): elementType is ServableElementType {
  return elementType in datatypeOfElementType;
}

/** A dimension: a size, the name of a variable size, or `undefined` where the model says nothing. */
export type ModelDim = number | string | undefined;

/**
 * The type of a graph's input or output. In `dims`, `undefined` for the whole list means unknown rank and an
 * empty list means a scalar.
 */
export type OnnxType =
  | {
      readonly kind: 'tensor' | 'sparse_tensor';
      readonly elementType: ElementType;
      readonly dims: readonly ModelDim[] | undefined;
    }
  | { readonly kind: 'sequence' | 'optional'; readonly element: OnnxType }
  | { readonly kind: 'map'; readonly keyType: ElementType; readonly value: OnnxType };
