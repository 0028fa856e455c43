/**
 * Inference requests of OIP v2 to and from their wire bytes: JSON, JSON with binary tensors behind it, and the
 * raw request. Every door and every runner decodes with this; the hot path. Checking a request against a model's
 * signature is the business of `validate-inputs.ts`.
 */
import { TroupeError } from '../errors/troupe-error.js';
import type {
  InferRequest,
  Parameters,
  ParameterValue,
  RequestedOutput,
  WireMessage,
} from './infer-message.js';
import { assertDepth } from './json-depth.js';
import {
  findRepeatedName,
  isJsonObject,
  noParameters,
  readList,
  readOptionalString,
  readParameters,
} from './message-members.js';
import { MessageReader } from './message-reader.js';
import { encodeParameters, MessageWriter } from './message-writer.js';
import { decodeRawRequest } from './raw-request.js';
import type { Signature } from './signature.js';
import { elementCount, type Tensor } from './tensor.js';
import { describeValue, refuseTensor } from './tensor-place.js';

/** Bounds of a request besides those that its own bytes set. */
export interface DecodeLimits {
  /** Most elements of one tensor. Default: what its bytes can hold. */
  readonly maxElements?: number;
}

/** A request to encode; `parameters` and `binaryOutput` may be left out. */
export interface InferRequestParts {
  readonly id?: string | undefined;
  readonly parameters?: Parameters | undefined;
  readonly inputs: readonly Tensor[];
  readonly outputs?: readonly RequestedOutput[] | undefined;
  readonly binaryOutput?: boolean | undefined;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const binaryOutputKey = 'binary_data_output';

/**
 * Decodes a request. `jsonLength` is the value of `Inference-Header-Content-Length`, `undefined` without that
 * header; 0 is a raw request, which needs the signature. Binary tensors are views on `payload`, not copies: it
 * must stay unchanged while they are in use. `null` members count as absent, unknown members are ignored, an empty
 * list of outputs asks for all. Throws `request.*`.
 */
export function decodeInferRequest(
  payload: Uint8Array,
  jsonLength: number | undefined,
  signature?: Signature,
  limits?: DecodeLimits,
): InferRequest {
  if (jsonLength === 0 && payload.byteLength > 0) {
    return checkElements(decodeRawRequest(payload, signature), limits);
  }
  const reader = new MessageReader(payload, jsonLength);
  let id: unknown;
  let given: unknown;
  let inputEntries: unknown;
  let outputEntries: unknown;
  for (const key in reader.head) {
    const value = reader.head[key];
    if (key === 'id') id = value;
    else if (key === 'parameters') given = value;
    else if (key === 'inputs') inputEntries = value;
    else if (key === 'outputs') outputEntries = value ?? undefined;
    else assertDepth(value, 2);
  }
  const idText = readOptionalString('id', id);
  const parameters = readParameters(undefined, given);
  const binaryOutput = parameters[binaryOutputKey];
  if (binaryOutput !== undefined && typeof binaryOutput !== 'boolean') {
    throw new TroupeError('request.parameter', `parameter "${binaryOutputKey}" must be true or false`);
  }
  const inputs = readList('inputs', inputEntries).map((entry, index) =>
    reader.readTensor('inputs', index, entry),
  );
  const repeated = findRepeatedName(inputs);
  if (repeated !== undefined) {
    refuseTensor(
      { list: 'inputs', index: repeated, name: inputs[repeated]?.name },
      'request.input_duplicate',
      'is given twice',
    );
  }
  reader.end();
  const outputs = outputEntries === undefined ? [] : readOutputs(outputEntries);
  // No spreads here: they cost more than the rest of this function.
  const request: Writable<InferRequest> = {
    parameters: binaryOutput === undefined ? parameters : withoutBinaryOutput(parameters),
    inputs,
    binaryOutput: binaryOutput ?? false,
  };
  if (idText !== undefined) request.id = idText;
  if (outputs.length > 0) request.outputs = outputs;
  return checkElements(request, limits);
}

/**
 * Encodes a request; `binary` sends all inputs in binary form. Throws `request.tensor_length` or
 * `request.tensor_value` for a tensor that contradicts itself, is not Unicode, or has a NaN and `binary` is off.
 */
export function encodeInferRequest(request: InferRequestParts, binary: boolean): WireMessage {
  const writer = new MessageWriter();
  const notJson = { reason: 'request.tensor_value', remedy: 'send it in binary form' } as const;
  const inputs = request.inputs.map((tensor, index) =>
    writer.encodeTensor('inputs', index, tensor, binary, notJson),
  );
  const members: string[] = [];
  if (request.id !== undefined) members.push(`"id":${JSON.stringify(request.id)}`);
  const parameters =
    request.binaryOutput === true ? { ...request.parameters, [binaryOutputKey]: true } : request.parameters;
  if (parameters !== undefined && Object.keys(parameters).length > 0) {
    members.push(`"parameters":${encodeParameters(parameters)}`);
  }
  members.push(`"inputs":[${inputs.join(',')}]`);
  if (request.outputs !== undefined && request.outputs.length > 0) {
    members.push(`"outputs":[${request.outputs.map(encodeOutput).join(',')}]`);
  }
  return writer.finish(`{${members.join(',')}}`);
}

/** Whether an output of a request is wanted in binary form: its own flag, else the request's. */
export function wantsBinary(request: InferRequest, outputName: string): boolean {
  return request.outputs?.find(({ name }) => name === outputName)?.binary ?? request.binaryOutput;
}

function encodeOutput({ name, binary }: RequestedOutput): string {
  const parameters = binary === undefined ? '' : `,"parameters":{"binary_data":${binary}}`;
  return `{"name":${JSON.stringify(name)}${parameters}}`;
}

function readOutputs(entries: unknown): RequestedOutput[] {
  const outputs = readList('outputs', entries).map(readOutput);
  const repeated = findRepeatedName(outputs);
  if (repeated !== undefined) {
    refuseTensor(
      { list: 'outputs', index: repeated, name: outputs[repeated]?.name },
      'request.output_duplicate',
      'is asked for twice',
    );
  }
  return outputs;
}

function readOutput(entry: unknown, index: number): RequestedOutput {
  if (!isJsonObject(entry)) {
    assertDepth(entry, 3);
    throw new TroupeError(
      'request.shape',
      `outputs[${index}] must be an object, not ${describeValue(entry)}`,
    );
  }
  let name: unknown;
  let given: unknown;
  for (const key in entry) {
    if (key === 'name') name = entry[key];
    else if (key === 'parameters') given = entry[key];
    else assertDepth(entry[key], 4);
  }
  if (typeof name !== 'string') {
    throw new TroupeError(
      'request.shape',
      `outputs[${index}]: "name" must be a string, not ${describeValue(name)}`,
    );
  }
  const place = { list: 'outputs', index, name } as const;
  const binary = readParameters(place, given).binary_data;
  if (binary === undefined) return { name };
  if (typeof binary === 'boolean') return { name, binary };
  refuseTensor(place, 'request.parameter', `parameter "binary_data" must be true or false`);
}

/** The parameters that are not told otherwise; `binary_data_output` has a member of its own. */
function withoutBinaryOutput(parameters: Parameters): Parameters {
  const others: Writable<Parameters> = {};
  let none = true;
  for (const key in parameters) {
    if (key === binaryOutputKey) continue;
    others[key] = parameters[key] as ParameterValue;
    none = false;
  }
  return none ? noParameters : others;
}

function checkElements(request: InferRequest, limits: DecodeLimits | undefined): InferRequest {
  const most = limits?.maxElements;
  if (most === undefined) return request;
  request.inputs.forEach(({ name, shape }, index) => {
    if (elementCount(shape) <= most) return;
    refuseTensor({ list: 'inputs', index, name }, 'request.too_large', `has more than ${most} elements`);
  });
  return request;
}
