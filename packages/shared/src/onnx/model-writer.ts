/**
 * Writes ONNX models from plain descriptions, for the bundled models, the tests and the benchmarks.
 *
 * Encodes exactly what it is told: it does not check that a graph is connected or that an operator exists, so
 * that tests can also write models that a runtime must refuse.
 */

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { ElementType, ModelDim, OnnxType } from './onnx-schema.js';
import {
  attributeFields,
  attributeTypeCodes,
  dimensionFields,
  elementTypeCodes,
  entryFields,
  externalDataLocation,
  graphFields,
  mapTypeFields,
  modelFields,
  nodeFields,
  opsetFields,
  shapeFields,
  sparseTensorFields,
  tensorFields,
  tensorTypeFields,
  typeFields,
  valueInfoFields,
  wrapperTypeFields,
} from './onnx-schema.js';

/** A model: one graph and the operator sets it is written against. */
export interface ModelDescription {
  /** Default 8, which every ONNX Runtime since 1.10 loads. */
  readonly irVersion?: number;
  /** Version of each operator domain; `''` is ai.onnx. Default `{ '': 17 }`. */
  readonly opsets?: Readonly<Record<string, number>>;
  readonly producerName?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly graph: GraphDescription;
}

export interface GraphDescription {
  /** Default `graph`; a graph without a name is refused by ONNX's checker. */
  readonly name?: string;
  readonly inputs?: readonly ValueDescription[];
  readonly outputs: readonly ValueDescription[];
  readonly nodes: readonly NodeDescription[];
  readonly initializers?: readonly TensorDescription[];
}

/** An input or output; a `type` of `undefined` leaves it to the runtime to infer (outputs of subgraphs). */
export interface ValueDescription {
  readonly name: string;
  readonly type: OnnxType | undefined;
}

export interface NodeDescription {
  readonly opType: string;
  /** Names of values; an empty name leaves an optional input out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeDescription>>;
}

export type AttributeDescription =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: number | bigint }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: TensorDescription }
  | { readonly type: 'graph'; readonly value: GraphDescription }
  | { readonly type: 'sparseTensor'; readonly value: SparseTensorDescription }
  | { readonly type: 'typeProto'; readonly value: OnnxType }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensors'; readonly value: readonly TensorDescription[] }
  | { readonly type: 'graphs'; readonly value: readonly GraphDescription[] }
  | { readonly type: 'sparseTensors'; readonly value: readonly SparseTensorDescription[] }
  | { readonly type: 'typeProtos'; readonly value: readonly OnnxType[] };

/** A constant: raw little-endian bytes in row-major order, strings, or a reference to a file beside the model. */
export interface TensorDescription {
  readonly name?: string;
  readonly elementType: ElementType;
  readonly dims: readonly number[];
  readonly content:
    | { readonly kind: 'raw'; readonly bytes: Uint8Array }
    | { readonly kind: 'strings'; readonly values: readonly string[] }
    | {
        readonly kind: 'external';
        readonly location: string;
        readonly offsetBytes?: number;
        readonly lengthBytes?: number;
      };
}

export interface SparseTensorDescription {
  readonly values: TensorDescription;
  readonly indices: TensorDescription;
  readonly dims: readonly number[];
}

/** A tensor value with its element type and dims (`undefined`: unknown rank). */
export function tensorValue(
  name: string,
  elementType: ElementType,
  dims: readonly ModelDim[] | undefined,
): ValueDescription {
  return { name, type: { kind: 'tensor', elementType, dims } };
}

/** A FLOAT constant. */
export function floatTensor(
  name: string,
  dims: readonly number[],
  values: readonly number[] | Float32Array,
): TensorDescription {
  return rawTensor(name, 'FLOAT', dims, Float32Array.from(values));
}

/** An INT64 constant. */
export function int64Tensor(
  name: string,
  dims: readonly number[],
  values: readonly (number | bigint)[],
): TensorDescription {
  return rawTensor(name, 'INT64', dims, BigInt64Array.from(values, BigInt));
}

/** A BOOL constant. */
export function boolTensor(
  name: string,
  dims: readonly number[],
  values: readonly boolean[],
): TensorDescription {
  return rawTensor(name, 'BOOL', dims, Uint8Array.from(values, Number));
}

/** A STRING constant. */
export function stringTensor(
  name: string,
  dims: readonly number[],
  values: readonly string[],
): TensorDescription {
  return { name, elementType: 'STRING', dims, content: { kind: 'strings', values } };
}

/**
 * A constant of any fixed-width element type from the memory of a typed array. Little-endian hosts only, as
 * ONNX Runtime's builds for Node are.
 */
export function rawTensor(
  name: string,
  elementType: ElementType,
  dims: readonly number[],
  values: ArrayBufferView,
): TensorDescription {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, elementType, dims, content: { kind: 'raw', bytes } };
}

/** The bytes of a .onnx file. */
export function encodeModel(model: ModelDescription): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(modelFields.irVersion, WireType.Varint).int64(model.irVersion ?? 8);
  writeString(writer, modelFields.producerName, model.producerName ?? 'troupe');
  writeMessage(writer, modelFields.graph, () => writeGraph(writer, model.graph));
  for (const [domain, version] of Object.entries(model.opsets ?? { '': 17 })) {
    writeMessage(writer, modelFields.opsetImport, () => {
      writeString(writer, opsetFields.domain, domain);
      writer.tag(opsetFields.version, WireType.Varint).int64(version);
    });
  }
  for (const [key, value] of Object.entries(model.metadata ?? {})) {
    writeEntry(writer, modelFields.metadataProps, key, value);
  }
  return writer.finish();
}

function writeGraph(writer: BinaryWriter, graph: GraphDescription): void {
  for (const node of graph.nodes) {
    writeMessage(writer, graphFields.node, () => writeNode(writer, node));
  }
  writeString(writer, graphFields.name, graph.name ?? 'graph');
  for (const tensor of graph.initializers ?? []) {
    writeMessage(writer, graphFields.initializer, () => writeTensor(writer, tensor));
  }
  for (const value of graph.inputs ?? []) {
    writeMessage(writer, graphFields.input, () => writeValue(writer, value));
  }
  for (const value of graph.outputs) {
    writeMessage(writer, graphFields.output, () => writeValue(writer, value));
  }
}

function writeNode(writer: BinaryWriter, node: NodeDescription): void {
  for (const name of node.inputs) {
    writeString(writer, nodeFields.input, name);
  }
  for (const name of node.outputs) {
    writeString(writer, nodeFields.output, name);
  }
  writeString(writer, nodeFields.name, node.name ?? '');
  writeString(writer, nodeFields.opType, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes ?? {})) {
    writeMessage(writer, nodeFields.attribute, () => writeAttribute(writer, name, attribute));
  }
  writeString(writer, nodeFields.domain, node.domain ?? '');
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: AttributeDescription): void {
  const field = attributeFields[attribute.type];
  writeString(writer, attributeFields.name, name);
  writer.tag(attributeFields.type, WireType.Varint).int32(attributeTypeCodes[attribute.type]);
  switch (attribute.type) {
    case 'float':
      writer.tag(field, WireType.Bit32).float(attribute.value);
      return;
    case 'int':
      writer.tag(field, WireType.Varint).int64(attribute.value);
      return;
    case 'string':
      writeString(writer, field, attribute.value);
      return;
    case 'tensor':
      writeMessage(writer, field, () => writeTensor(writer, attribute.value));
      return;
    case 'graph':
      writeMessage(writer, field, () => writeGraph(writer, attribute.value));
      return;
    case 'sparseTensor':
      writeMessage(writer, field, () => writeSparseTensor(writer, attribute.value));
      return;
    case 'typeProto':
      writeMessage(writer, field, () => writeType(writer, attribute.value));
      return;
    // The schema is proto2 at heart: lists of numbers in attributes are written one by one, not packed.
    case 'floats':
      for (const value of attribute.value) writer.tag(field, WireType.Bit32).float(value);
      return;
    case 'ints':
      for (const value of attribute.value) writer.tag(field, WireType.Varint).int64(value);
      return;
    case 'strings':
      for (const value of attribute.value) writeString(writer, field, value);
      return;
    case 'tensors':
      for (const value of attribute.value) writeMessage(writer, field, () => writeTensor(writer, value));
      return;
    case 'graphs':
      for (const value of attribute.value) writeMessage(writer, field, () => writeGraph(writer, value));
      return;
    case 'sparseTensors':
      for (const value of attribute.value)
        writeMessage(writer, field, () => writeSparseTensor(writer, value));
      return;
    case 'typeProtos':
      for (const value of attribute.value) writeMessage(writer, field, () => writeType(writer, value));
      return;
  }
}

function writeTensor(writer: BinaryWriter, tensor: TensorDescription): void {
  for (const dim of tensor.dims) {
    writer.tag(tensorFields.dims, WireType.Varint).int64(dim);
  }
  writer.tag(tensorFields.dataType, WireType.Varint).int32(elementTypeCodes[tensor.elementType]);
  writeString(writer, tensorFields.name, tensor.name ?? '');
  const { content } = tensor;
  switch (content.kind) {
    case 'raw':
      writer.tag(tensorFields.rawData, WireType.LengthDelimited).bytes(content.bytes);
      return;
    case 'strings':
      for (const value of content.values) writeString(writer, tensorFields.stringData, value);
      return;
    case 'external':
      writeEntry(writer, tensorFields.externalData, 'location', content.location);
      if (content.offsetBytes !== undefined) {
        writeEntry(writer, tensorFields.externalData, 'offset', String(content.offsetBytes));
      }
      if (content.lengthBytes !== undefined) {
        writeEntry(writer, tensorFields.externalData, 'length', String(content.lengthBytes));
      }
      writer.tag(tensorFields.dataLocation, WireType.Varint).int32(externalDataLocation);
      return;
  }
}

function writeSparseTensor(writer: BinaryWriter, tensor: SparseTensorDescription): void {
  writeMessage(writer, sparseTensorFields.values, () => writeTensor(writer, tensor.values));
  writeMessage(writer, sparseTensorFields.indices, () => writeTensor(writer, tensor.indices));
  for (const dim of tensor.dims) {
    writer.tag(sparseTensorFields.dims, WireType.Varint).int64(dim);
  }
}

function writeValue(writer: BinaryWriter, value: ValueDescription): void {
  const { type } = value;
  writeString(writer, valueInfoFields.name, value.name);
  if (type !== undefined) {
    writeMessage(writer, valueInfoFields.type, () => writeType(writer, type));
  }
}

function writeType(writer: BinaryWriter, type: OnnxType): void {
  switch (type.kind) {
    case 'tensor':
    case 'sparse_tensor':
      writeMessage(writer, type.kind === 'tensor' ? typeFields.tensor : typeFields.sparseTensor, () => {
        writer.tag(tensorTypeFields.elementType, WireType.Varint).int32(elementTypeCodes[type.elementType]);
        const { dims } = type;
        if (dims !== undefined) {
          writeMessage(writer, tensorTypeFields.shape, () => writeShape(writer, dims));
        }
      });
      return;
    case 'sequence':
    case 'optional':
      writeMessage(writer, type.kind === 'sequence' ? typeFields.sequence : typeFields.optional, () =>
        writeMessage(writer, wrapperTypeFields.element, () => writeType(writer, type.element)),
      );
      return;
    case 'map':
      writeMessage(writer, typeFields.map, () => {
        writer.tag(mapTypeFields.keyType, WireType.Varint).int32(elementTypeCodes[type.keyType]);
        writeMessage(writer, mapTypeFields.valueType, () => writeType(writer, type.value));
      });
      return;
  }
}

function writeShape(writer: BinaryWriter, dims: readonly ModelDim[]): void {
  for (const dim of dims) {
    writeMessage(writer, shapeFields.dim, () => {
      if (typeof dim === 'number') {
        writer.tag(dimensionFields.value, WireType.Varint).int64(dim);
      } else if (dim !== undefined) {
        writeString(writer, dimensionFields.param, dim);
      }
    });
  }
}

function writeEntry(writer: BinaryWriter, field: number, key: string, value: string): void {
  writeMessage(writer, field, () => {
    writeString(writer, entryFields.key, key);
    writeString(writer, entryFields.value, value);
  });
}

function writeString(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function writeMessage(writer: BinaryWriter, field: number, writeContent: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  writeContent();
  writer.join();
}
