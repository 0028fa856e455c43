/**
 * The binary form of tensors, in both directions: OIP's binary tensor data extension. Little-endian, row-major,
 * no padding; a BOOL is one byte, 0 or 1; an element of BYTES is its uint32 length and its bytes. Numeric tensors
 * are never copied here: what is read is a view on the message.
 */
import { type Datatype, datatypeBytes } from './datatype.js';
import { elementCount, type Tensor } from './tensor.js';
import { describeShape, refuseTensor, type TensorPlace } from './tensor-place.js';
import { decodeUtf8, isWellFormed } from './utf8-text.js';

const lengthPrefixBytes = 4;

/**
 * The elements in bytes `start` to `end` of a message. Throws `request.tensor_length` where they do not fill the
 * shape exactly, `request.tensor_value` for a BOOL that is neither 0 nor 1, or text that is not UTF-8.
 */
export function readBinaryElements(
  place: TensorPlace,
  datatype: Datatype,
  shape: readonly number[],
  message: Buffer,
  start: number,
  end: number,
): Tensor['data'] {
  const count = elementCount(shape);
  if (datatype === 'BYTES') return readBinaryStrings(place, shape, count, message, start, end);
  const takes = count * datatypeBytes[datatype];
  if (end - start !== takes) {
    refuseTensor(
      place,
      'request.tensor_length',
      `has ${end - start} bytes, ${datatype} of shape ${describeShape(shape)} takes ${takes}`,
    );
  }
  if (datatype === 'BOOL') {
    for (let index = start; index < end; index += 1) {
      if ((message[index] as number) > 1) {
        refuseTensor(
          place,
          'request.tensor_value',
          `element ${index - start} is byte ${message[index]}; BOOL takes 0 and 1`,
        );
      }
    }
  }
  return new Uint8Array(message.buffer, message.byteOffset + start, takes);
}

function readBinaryStrings(
  place: TensorPlace,
  shape: readonly number[],
  count: number,
  message: Buffer,
  start: number,
  end: number,
): string[] {
  const strings: string[] = [];
  let next = start;
  while (next < end && strings.length < count) {
    const from = next + lengthPrefixBytes;
    next = from <= end ? from + message.readUInt32LE(next) : Number.POSITIVE_INFINITY;
    if (next > end) {
      refuseTensor(
        place,
        'request.tensor_length',
        `element ${strings.length} is longer than the bytes of the tensor`,
      );
    }
    strings.push(readText(place, strings.length, message, from, next));
  }
  if (strings.length !== count || next !== end) {
    refuseTensor(
      place,
      'request.tensor_length',
      `its ${end - start} bytes hold ${next === end ? strings.length : `more than ${count}`} elements, shape ${describeShape(shape)} takes ${count}`,
    );
  }
  return strings;
}

/** Bytes as text. ONNX Runtime's JavaScript API holds strings only, so other bytes would not come back as they went. */
export function readText(
  place: TensorPlace,
  element: number,
  message: Buffer,
  start: number,
  end: number,
): string {
  const text = decodeUtf8(message, start, end);
  if (text === undefined) {
    refuseTensor(place, 'request.tensor_value', `element ${element} is not UTF-8; BYTES carries text here`);
  }
  return text;
}

/** Bytes that a tensor takes in binary form. Throws `request.tensor_length`, `request.tensor_value`. */
export function binarySize(place: TensorPlace, tensor: Tensor): number {
  const { data, datatype, shape } = tensor;
  const count = elementCount(shape);
  if (data instanceof Uint8Array) {
    const takes = datatype === 'BYTES' ? -1 : count * datatypeBytes[datatype];
    if (data.byteLength === takes) return takes;
    refuseTensor(
      place,
      'request.tensor_length',
      `has ${data.byteLength} bytes, ${datatype} of shape ${describeShape(shape)} takes ${takes < 0 ? 'strings' : takes}`,
    );
  }
  if (datatype !== 'BYTES' || data.length !== count) {
    refuseTensor(
      place,
      'request.tensor_length',
      `has ${data.length} strings, ${datatype} of shape ${describeShape(shape)} takes ${datatype === 'BYTES' ? count : 'bytes'}`,
    );
  }
  let size = lengthPrefixBytes * count;
  for (let index = 0; index < count; index += 1) {
    const text = data[index] as string;
    if (!isWellFormed(text)) {
      refuseTensor(
        place,
        'request.tensor_value',
        `element ${index} is not well-formed Unicode and has no UTF-8 form`,
      );
    }
    size += Buffer.byteLength(text);
  }
  return size;
}

/** Writes a tensor in binary form at `start`, for which {@link binarySize} has made room; the byte after it. */
export function writeBinaryElements(tensor: Tensor, target: Buffer, start: number): number {
  const { data } = tensor;
  if (data instanceof Uint8Array) {
    target.set(data, start);
    return start + data.byteLength;
  }
  let next = start;
  for (const text of data) {
    const written = target.write(text, next + lengthPrefixBytes);
    target.writeUInt32LE(written, next);
    next += lengthPrefixBytes + written;
  }
  return next;
}
