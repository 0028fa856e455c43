/**
 * From a work message to a job for the batcher, and from a job's outputs to an answer. Pure: bytes and tensors in,
 * bytes, tensors and typed errors out.
 */
import {
  type BatchSettings,
  decodeInferRequest,
  encodeInferResponse,
  type InferRequest,
  type ModelVersion,
  type Signature,
  type Tensor,
  TroupeError,
  validateInputs,
  type WireMessage,
  wantsBinary,
} from '@troupe/shared';
import type { WorkMessage } from '@troupe/shared/nats';
import { describeRows, orderInputs } from './batch-assembly.js';
import type { BatchJob } from './batcher.js';

/** What requests are read against. */
export interface ServedModel {
  readonly model: string;
  /** The version that is loaded. */
  readonly version: ModelVersion;
  /** Of the loaded version. */
  readonly signature: Signature;
  /** Rows of one run; 1 where requests must not be merged. */
  readonly batching: BatchSettings;
  /** Stream sequences of messages that are run alone, whatever their delivery count. */
  readonly suspects: ReadonlySet<number>;
}

/** Room for the headers of an answer, which count against the server's limit. */
const headerAllowanceBytes = 256;

/** Decodes and checks a request. Throws the error that its caller gets. */
export function openRequest(
  message: WorkMessage,
  served: ServedModel,
  maxPayloadBytes: number,
): { request: InferRequest; job: BatchJob } {
  const { signature } = served;
  const request = decodeInferRequest(message.payload, message.jsonLength, signature);
  validateInputs(signature, request);
  const inputs = orderInputs(signature, request.inputs);
  const outputNames = (request.outputs ?? signature.outputs).map(({ name }) => name);
  const rows =
    served.batching.maxBatchSize > 1
      ? describeRows(inputs, outputNames, served.batching.maxBatchSize)
      : undefined;
  return {
    request,
    job: {
      key: rows?.key,
      rows: rows?.rows ?? 1,
      exclusive: message.ref.delivery > 1 || served.suspects.has(message.ref.streamSequence),
      arrivedAtMs: message.arrivedAtMs,
      deadlineAtMs: message.arrivedAtMs + message.budgetMs,
      inputs,
      outputNames,
      limitBytes: answerLimit(maxPayloadBytes),
      json: outputNames.some((name) => !wantsBinary(request, name)),
      abandoned: false,
    },
  };
}

/** The answer to a request; an error where it cannot be sent. */
export function encodeOutputs(
  request: InferRequest,
  outputs: readonly Tensor[],
  served: ServedModel,
  degraded: boolean,
  maxPayloadBytes: number,
): WireMessage {
  const answer = encodeInferResponse(
    {
      modelName: served.model,
      modelVersion: String(served.version.version),
      ...(request.id === undefined ? {} : { id: request.id }),
      ...(degraded ? { parameters: { degraded: true } } : {}),
      outputs,
    },
    (name) => wantsBinary(request, name),
  );
  if (answer.payload.byteLength > answerLimit(maxPayloadBytes)) {
    throw answerTooLarge(answer.payload.byteLength, maxPayloadBytes, '');
  }
  return answer;
}

/** The error of an answer that the server would not take; `atLeast` where only a lower bound of its size is known. */
export function answerTooLarge(
  bytes: number,
  maxPayloadBytes: number,
  atLeast: 'at least ' | '',
): TroupeError {
  return new TroupeError(
    'answer.too_large',
    `the answer has ${atLeast}${bytes} bytes, the server takes ${maxPayloadBytes} with some ${headerAllowanceBytes} for headers (max_payload): ask for fewer outputs or rows, or for binary outputs`,
  );
}

function answerLimit(maxPayloadBytes: number): number {
  return maxPayloadBytes - headerAllowanceBytes;
}
