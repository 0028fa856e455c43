/**
 * Reads one message, a request or a response: its JSON part once, then its tensors in the order of the JSON,
 * each from `data` or from the bytes behind the JSON. One reader per message; binary tensors are views on it.
 * What the members of a message mean beyond their tensors is up to the two codecs that use this.
 */
import { parse as parseLossless } from 'lossless-json';
import { TroupeError } from '../errors/troupe-error.js';
import { readBinaryElements } from './binary-elements.js';
import { type Datatype, datatypeBytes, isDatatype } from './datatype.js';
import type { ParameterValue } from './infer-message.js';
import { assertDepth, assertTextDepth } from './json-depth.js';
import { readJsonElements } from './json-values.js';
import { isJsonObject, type JsonObject, memberOfEntryLevel, readParameters } from './message-members.js';
import type { Tensor } from './tensor.js';
import { describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';
import { parseShape } from './tensor-shape.js';
import { asBuffer, decodeUtf8 } from './utf8-text.js';

/** The reader of one message. */
export class MessageReader {
  /** The JSON part. */
  readonly head: JsonObject;
  readonly #message: Buffer;
  readonly #text: string;
  readonly #hasBinaryPart: boolean;
  #next: number;
  #exactHead: unknown;

  /**
   * Parses the JSON part: all of the payload where `jsonLength` is undefined. Throws `request.empty`,
   * `request.binary_length`, `request.json_syntax`, `request.json_depth`, `request.shape`.
   */
  constructor(payload: Uint8Array, jsonLength: number | undefined) {
    const end = jsonLength ?? payload.byteLength;
    if (payload.byteLength === 0) throw new TroupeError('request.empty', 'the message is empty');
    if (!Number.isSafeInteger(end) || end < 0 || end > payload.byteLength) {
      throw new TroupeError(
        'request.binary_length',
        `Inference-Header-Content-Length is ${String(jsonLength)}; the message has ${payload.byteLength} bytes`,
      );
    }
    this.#message = asBuffer(payload);
    const text = decodeUtf8(this.#message, 0, end);
    if (text === undefined) throw new TroupeError('request.json_syntax', 'the JSON is not UTF-8');
    this.#text = text;
    this.#hasBinaryPart = jsonLength !== undefined;
    this.#next = end;
    const head = parseJson(this.#text);
    if (!isJsonObject(head)) {
      assertDepth(head, 1);
      throw new TroupeError('request.shape', `the message must be a JSON object, not ${describeValue(head)}`);
    }
    this.head = head;
  }

  /** The next tensor of a list, in order. */
  readTensor(list: 'inputs' | 'outputs', index: number, entry: unknown): Tensor {
    const { name, datatype: type, shape: dims, data, parameters } = readEntry(list, index, entry);
    const place: TensorPlace = { list, index, name };
    if (!isDatatype(type)) {
      refuseTensor(place, 'request.tensor_datatype', `"datatype" ${describeValue(type)} is not known`);
    }
    const shape = parseShape(place, dims, type === 'BYTES' ? 4 : datatypeBytes[type]);
    const size = readParameters(place, parameters).binary_data_size;
    if (size !== undefined) {
      if (data !== undefined) refuseTensor(place, 'request.shape', 'has both "data" and "binary_data_size"');
      return { name, datatype: type, shape, data: this.#readBinary(place, type, shape, size) };
    }
    if (data === undefined) refuseTensor(place, 'request.shape', 'has neither "data" nor "binary_data_size"');
    let elements = readJsonElements(place, type, shape, data, 'strict');
    if (elements.lossy) {
      elements = readJsonElements(place, type, shape, this.#exactData(list, index), 'strict');
      if (elements.lossy) {
        refuseTensor(place, 'request.tensor_value', `${type} beyond 2^53 must be written as plain digits`);
      }
    }
    return { name, datatype: type, shape, data: elements.data };
  }

  /** Throws `request.binary_length` where bytes are left over that belong to no tensor. */
  end(): void {
    const left = this.#message.byteLength - this.#next;
    if (left !== 0) {
      throw new TroupeError('request.binary_length', `${left} bytes behind the JSON belong to no tensor`);
    }
  }

  #readBinary(
    place: TensorPlace,
    datatype: Datatype,
    shape: readonly number[],
    size: ParameterValue,
  ): Tensor['data'] {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      refuseTensor(
        place,
        'request.binary_length',
        `"binary_data_size" must be a non-negative integer, not ${describeValue(size)}`,
      );
    }
    const start = this.#next;
    const left = this.#message.byteLength - start;
    if (size > left) {
      refuseTensor(
        place,
        'request.binary_length',
        this.#hasBinaryPart
          ? `"binary_data_size" is ${size}, but only ${left} bytes are left in the message`
          : 'has "binary_data_size", but the message came without Inference-Header-Content-Length',
      );
    }
    this.#next = start + size;
    return readBinaryElements(place, datatype, shape, this.#message, start, this.#next);
  }

  /** `data` once more, its long integers as bigints. Rare and slow: some 50 times the time of `JSON.parse`. */
  #exactData(list: 'inputs' | 'outputs', index: number): unknown {
    this.#exactHead ??= parseExact(this.#text);
    // The same text has parsed and been checked before, so what is read here is there.
    const entries = (this.#exactHead as JsonObject)[list] as readonly JsonObject[];
    return entries[index]?.data;
  }
}

interface TensorEntry {
  readonly name: string;
  readonly datatype: unknown;
  readonly shape: unknown;
  readonly data: unknown;
  readonly parameters: unknown;
}

function readEntry(list: 'inputs' | 'outputs', index: number, entry: unknown): TensorEntry {
  if (!isJsonObject(entry)) {
    assertDepth(entry, memberOfEntryLevel - 1);
    refuseTensor(
      { list, index, name: undefined },
      'request.shape',
      `must be an object, not ${describeValue(entry)}`,
    );
  }
  let name: unknown;
  let datatype: unknown;
  let shape: unknown;
  let data: unknown;
  let parameters: unknown;
  for (const key in entry) {
    const value = entry[key];
    if (key === 'name') name = value;
    else if (key === 'datatype') datatype = value;
    else if (key === 'shape') shape = value;
    else if (key === 'data') data = value ?? undefined;
    else if (key === 'parameters') parameters = value;
    else assertDepth(value, memberOfEntryLevel);
  }
  if (typeof name !== 'string') {
    refuseTensor(
      { list, index, name: undefined },
      'request.shape',
      `"name" must be a string, not ${describeValue(name)}`,
    );
  }
  return { name, datatype, shape, data, parameters };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The parser quotes the text, and this message may travel in a header: no line breaks.
    const fault = (cause as Error).message.replaceAll(/\p{Cc}/gu, ' ');
    throw new TroupeError('request.json_syntax', `the JSON cannot be parsed: ${fault}`, { cause });
  }
}

/** A plain integer of 16 digits or more is not safe in a number; of more than 20 it is in no range of ours. */
const longInteger = /^-?[0-9]{16,20}$/;

function parseExact(text: string): unknown {
  assertTextDepth(text);
  return parseLossless(text, undefined, {
    parseNumber: (digits) => (longInteger.test(digits) ? BigInt(digits) : Number(digits)),
    onDuplicateKey: ({ newValue }) => newValue,
  });
}
