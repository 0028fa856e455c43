/** Reads ONNX TensorProto files (`input_0.pb`): the tensors of published test cases, independent of our own codec. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { Datatype, Tensor } from '@troupe/shared';

/** TensorProto.DataType → datatype on the wire; ONNX, onnx.proto. */
const datatypes: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
};

interface Fields {
  readonly dims: number[];
  dataType: number;
  raw: Uint8Array | undefined;
  readonly strings: string[];
  readonly floats: number[];
  readonly doubles: number[];
  readonly int32s: number[];
  readonly int64s: bigint[];
  readonly uint64s: bigint[];
}

/** Reads a tensor; its name is the caller's word, since files carry other ones or none. */
export function readTensorProto(name: string, bytes: Uint8Array): Tensor {
  const fields = readFields(bytes);
  const datatype = datatypes[fields.dataType];
  if (datatype === undefined)
    throw new Error(`${name}: TensorProto data type ${fields.dataType} is none of ours`);
  if (datatype === 'BYTES') return { name, datatype, shape: fields.dims, data: fields.strings };
  return { name, datatype, shape: fields.dims, data: fields.raw ?? bytesOfTyped(datatype, fields) };
}

function readFields(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = {
    dims: [],
    dataType: 0,
    raw: undefined,
    strings: [],
    floats: [],
    doubles: [],
    int32s: [],
    int64s: [],
    uint64s: [],
  };
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    /** A repeated scalar, packed or not. */
    const readAll = (readOne: () => void) => {
      if (wire !== WireType.LengthDelimited) return readOne();
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) readOne();
    };
    switch (field) {
      case 1:
        readAll(() => fields.dims.push(Number(reader.int64())));
        break;
      case 2:
        fields.dataType = reader.int32();
        break;
      case 4:
        readAll(() => fields.floats.push(reader.float()));
        break;
      case 5:
        readAll(() => fields.int32s.push(reader.int32()));
        break;
      case 6:
        fields.strings.push(Buffer.from(reader.bytes()).toString('utf8'));
        break;
      case 7:
        readAll(() => fields.int64s.push(BigInt(reader.int64())));
        break;
      case 9:
        fields.raw = new Uint8Array(reader.bytes()); // a copy: `slice()` of a Buffer is none
        break;
      case 10:
        readAll(() => fields.doubles.push(reader.double()));
        break;
      case 11:
        readAll(() => fields.uint64s.push(BigInt(reader.uint64())));
        break;
      default:
        reader.skip(wire, field);
    }
  }
  return fields;
}

/** Elements that stand in the typed fields: small integers, BOOL and FP16 bits share int32_data. */
function bytesOfTyped(datatype: Exclude<Datatype, 'BYTES'>, fields: Fields): Uint8Array {
  const array = (() => {
    switch (datatype) {
      case 'FP32':
        return Float32Array.from(fields.floats);
      case 'FP64':
        return Float64Array.from(fields.doubles);
      case 'INT64':
        return BigInt64Array.from(fields.int64s);
      case 'UINT64':
        return BigUint64Array.from(fields.uint64s);
      case 'UINT32':
        return Uint32Array.from(fields.uint64s, Number);
      case 'INT32':
        return Int32Array.from(fields.int32s);
      case 'INT16':
        return Int16Array.from(fields.int32s);
      case 'UINT16':
      case 'FP16':
        return Uint16Array.from(fields.int32s);
      case 'INT8':
        return Int8Array.from(fields.int32s);
      case 'UINT8':
      case 'BOOL':
        return Uint8Array.from(fields.int32s);
    }
  })();
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
