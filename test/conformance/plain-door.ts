/**
 * The door for plain NATS requests, as somebody without our SDK uses it: the bare client, and answers read by what the
 * protocol pages say, not by our own codec (a fault that encoder and decoder share would stay unseen).
 */
import { decodeError, type Tensor, TroupeError } from '@troupe/shared';
import type { BareNatsClient } from '../harness/bare-nats-client.js';

export interface PlainRequest {
  readonly payload: Uint8Array;
  /** `Inference-Header-Content-Length`, where binary tensors follow the JSON. */
  readonly jsonLength?: number | undefined;
}

export interface PlainAnswer {
  readonly modelName: string;
  readonly id: string | undefined;
  readonly outputs: readonly Tensor[];
  /** Whether the answer came with binary tensors. */
  readonly binary: boolean;
}

export interface PlainOptions {
  readonly namespace: string;
  readonly deadlineMs: number;
  /** Version or label. */
  readonly selector?: string;
}

const lengthHeader = 'Inference-Header-Content-Length';
/** An answer of the cluster's, also the one that says 'deadline exceeded', comes before this. */
const patienceMs = 2_000;

/** Asks, and reads the answer. Throws the cluster's error as a TroupeError, anything else as an Error. */
export async function askPlain(
  client: BareNatsClient,
  model: string,
  request: PlainRequest,
  { namespace, deadlineMs, selector }: PlainOptions,
): Promise<PlainAnswer> {
  const subject = `${namespace}.infer.${model}${selector === undefined ? '' : `.${selector}`}`;
  const message = await client.request(subject, request.payload, {
    timeoutMs: deadlineMs + patienceMs,
    headers: {
      'Troupe-Budget-Ms': String(deadlineMs),
      ...(request.jsonLength === undefined ? {} : { [lengthHeader]: String(request.jsonLength) }),
    },
  });
  const { headers, payload, status } = message;
  if (headers['Nats-Service-Error-Code'] !== undefined) {
    const error = decodeError(JSON.parse(payload.toString('utf8')));
    const text = headers['Nats-Service-Error'] ?? '';
    if (text === '') throw new Error(`an error answer without a Nats-Service-Error text: ${error.message}`);
    throw error;
  }
  if (status !== undefined) throw new Error(`the server answered with status ${status}: no responders`);
  const length = headers[lengthHeader];
  return readAnswer(payload, length === undefined ? undefined : Number(length));
}

/** Reads an OIP answer: JSON, or JSON and binary tensors behind it. */
export function readAnswer(payload: Buffer, jsonLength: number | undefined): PlainAnswer {
  const text = payload.toString('utf8', 0, jsonLength ?? payload.length);
  const answer = JSON.parse(quoteLongIntegers(text)) as {
    model_name: string;
    id?: string;
    outputs: {
      name: string;
      shape: number[];
      datatype: Tensor['datatype'];
      data?: unknown[];
      parameters?: { binary_data_size?: number };
    }[];
  };
  let next = jsonLength ?? payload.length;
  const outputs = answer.outputs.map(({ name, shape, datatype, data, parameters }): Tensor => {
    const size = parameters?.binary_data_size;
    if (data !== undefined && size !== undefined) throw new Error(`${name} has both data and a binary size`);
    if (data !== undefined) return { name, datatype, shape, data: elementsOf(datatype, data) };
    if (size === undefined) throw new Error(`${name} has neither data nor a binary size`);
    const bytes = Buffer.from(payload.subarray(next, next + size));
    next += size;
    return { name, datatype, shape, data: datatype === 'BYTES' ? stringsOf(bytes) : bytes };
  });
  if (next !== payload.length) throw new Error(`${payload.length - next} bytes behind the answer's tensors`);
  return { modelName: answer.model_name, id: answer.id, outputs, binary: jsonLength !== undefined };
}

/** Integers that `JSON.parse` would round stand as strings, which `BigInt` reads. Strings of the text stay as they are. */
function quoteLongIntegers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
}

function elementsOf(datatype: Tensor['datatype'], data: readonly unknown[]): Tensor['data'] {
  if (datatype === 'BYTES') return data as readonly string[];
  const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const numbers = data as readonly number[];
  switch (datatype) {
    case 'BOOL':
      if (!data.every((value) => typeof value === 'boolean'))
        throw new Error('BOOL in JSON is true or false');
      return Uint8Array.from(data, (value) => (value === true ? 1 : 0));
    case 'UINT8':
      return Uint8Array.from(numbers);
    case 'INT8':
      return bytes(Int8Array.from(numbers));
    case 'UINT16':
      return bytes(Uint16Array.from(numbers));
    case 'INT16':
      return bytes(Int16Array.from(numbers));
    case 'UINT32':
      return bytes(Uint32Array.from(numbers));
    case 'INT32':
      return bytes(Int32Array.from(numbers));
    case 'UINT64':
      return bytes(BigUint64Array.from(data as readonly (number | string)[], BigInt));
    case 'INT64':
      return bytes(BigInt64Array.from(data as readonly (number | string)[], BigInt));
    case 'FP16':
      return bytes(Uint16Array.from(numbers, halfBits));
    case 'FP32':
      return bytes(Float32Array.from(numbers));
    case 'FP64':
      return bytes(Float64Array.from(numbers));
  }
}

/** Half bits of a number that a half holds exactly; throws for any other, since answers hold no other. */
function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return sign;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const units = magnitude / 2 ** (exponent - 10);
  const bits = exponent === -14 ? units : units - 1024 + ((exponent + 15) << 10);
  if (!Number.isInteger(bits) || bits >= 0x7c00) throw new Error(`${value} is not a half`);
  return sign | bits;
}

/** BYTES in binary form: each element behind its length in four little-endian bytes. */
function stringsOf(bytes: Buffer): string[] {
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    strings.push(bytes.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return strings;
}

/** Whether what was thrown is an error that the cluster has typed. */
export function isTyped(error: unknown): error is TroupeError {
  return error instanceof TroupeError && error.reason !== 'internal.unexpected';
}
