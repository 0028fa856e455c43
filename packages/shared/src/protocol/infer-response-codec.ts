/**
 * Inference responses of OIP v2 to and from their wire bytes: runners encode them, clients decode them.
 * JSON holds no NaN and no infinities: an output that has one must be asked for in binary form.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import type { InferResponse, WireMessage } from './infer-message.js';
import { findRepeatedName, readList, readOptionalString, readParameters } from './message-members.js';
import { MessageReader } from './message-reader.js';
import { encodeParameters, MessageWriter, type NotJson } from './message-writer.js';

/**
 * Decodes a response; `jsonLength` as with requests, and binary outputs are views on `payload`. A response
 * without `model_version` has the version ''. Throws `answer.malformed`.
 */
export function decodeInferResponse(payload: Uint8Array, jsonLength: number | undefined): InferResponse {
  try {
    return readResponse(payload, jsonLength);
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    throw new TroupeError('answer.malformed', `the answer cannot be decoded: ${error.message}`, {
      cause: error,
    });
  }
}

const notJson: NotJson = {
  reason: 'answer.not_json',
  remedy: 'ask for this output in binary form ("binary_data": true, or "binary_data_output": true for all)',
};

/**
 * Encodes a response; `binaryOf` says of each output whether it goes in binary form. Throws `answer.not_json`
 * where an output in JSON holds a NaN or an infinity, `answer.malformed` where an output contradicts itself.
 */
export function encodeInferResponse(
  response: InferResponse,
  binaryOf: (outputName: string) => boolean,
): WireMessage {
  const writer = new MessageWriter();
  try {
    const outputs = response.outputs.map((tensor, index) =>
      writer.encodeTensor('outputs', index, tensor, binaryOf(tensor.name), notJson),
    );
    const { id, parameters } = response;
    const idMember = id === undefined ? '' : `,"id":${JSON.stringify(id)}`;
    const parameterMember = parameters === undefined ? '' : `,"parameters":${encodeParameters(parameters)}`;
    const model = `"model_name":${JSON.stringify(response.modelName)},"model_version":${JSON.stringify(response.modelVersion)}`;
    return writer.finish(`{${model}${idMember}${parameterMember},"outputs":[${outputs.join(',')}]}`);
  } catch (error) {
    if (!(error instanceof TroupeError) || error.reason === notJson.reason) throw error;
    throw new TroupeError('answer.malformed', `the answer cannot be encoded: ${error.message}`, {
      cause: error,
    });
  }
}

function readResponse(payload: Uint8Array, jsonLength: number | undefined): InferResponse {
  const reader = new MessageReader(payload, jsonLength);
  const head = reader.head;
  const member = (key: string): unknown => (Object.hasOwn(head, key) ? head[key] : undefined);
  const outputs = readList('outputs', member('outputs')).map((entry, index) =>
    reader.readTensor('outputs', index, entry),
  );
  const repeated = findRepeatedName(outputs);
  if (repeated !== undefined) {
    throw new TroupeError(
      'request.output_duplicate',
      `output ${quoteName(outputs[repeated]?.name)} is there twice`,
    );
  }
  reader.end();
  const modelName = readOptionalString('model_name', member('model_name'));
  if (modelName === undefined) throw new TroupeError('request.shape', '"model_name" is missing');
  const id = readOptionalString('id', member('id'));
  const parameters = member('parameters') ?? undefined;
  return {
    modelName,
    modelVersion: readOptionalString('model_version', member('model_version')) ?? '',
    ...(id === undefined ? {} : { id }),
    ...(parameters === undefined ? {} : { parameters: readParameters(undefined, parameters) }),
    outputs,
  };
}
