/**
 * From a work message to a job for the batcher, and from a job's outputs to an answer. Pure: bytes and tensors in,
 * bytes, tensors and typed errors out.
 */
import {
  type BatchSettings,
  decodeInferRequest,
  encodeInferResponse,
  HeadCache,
  type InferRequest,
  joinMessage,
  type ModelVersion,
  partsOf,
  readParts,
  reusableHead,
  type Signature,
  type Tensor,
  type TensorPart,
  TroupeError,
  validateInputs,
  type WireMessage,
  wantsBinary,
} from '@troupe/shared';
import type { WorkMessage } from '@troupe/shared/nats';
import { describeRows, orderInputs } from './batch-assembly.js';
import type { BatchPace } from './batch-pace.js';
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
  /** Where batches follow what is learnt of runs. */
  readonly pace?: BatchPace | undefined;
  /** Stream sequences of messages that are run alone, whatever their delivery count. */
  readonly suspects: ReadonlySet<number>;
}

/** Room for the headers of an answer, which count against the server's limit. */
const headerAllowanceBytes = 256;

/** What the JSON part of a binary request says, checked: all that requests which begin with it have in common. */
interface RequestPlan {
  /** Without inputs. */
  readonly request: InferRequest;
  /** In the order of the request. */
  readonly parts: readonly TensorPart[];
  readonly rows: { readonly key: string; readonly rows: number } | undefined;
  readonly outputNames: readonly string[];
  readonly json: boolean;
}

/** A request that was read. */
export interface OpenedRequest {
  readonly request: InferRequest;
  readonly job: BatchJob;
}

/** Reads requests for one loaded version; remembers what it has worked out for requests like them. */
export class RequestIntake {
  readonly #served: ServedModel;
  readonly #plans = new HeadCache<RequestPlan>();
  /** Beginnings of binary answers, by the request's plan and the shapes of the outputs. */
  readonly #answerHeads = new WeakMap<InferRequest, Map<string, Buffer>>();

  constructor(served: ServedModel) {
    this.#served = served;
  }

  /** Decodes and checks a request. Throws the error that its caller gets. */
  open(message: WorkMessage, maxPayloadBytes: number): OpenedRequest {
    const { jsonLength, payload } = message;
    const plan = this.#plans.find(payload, jsonLength);
    const inputs = plan && readParts(plan.parts, payload, jsonLength as number);
    if (plan !== undefined && inputs !== undefined) {
      const ordered = inputs.length > 1 ? orderInputs(this.#served.signature, inputs) : inputs;
      return { request: plan.request, job: this.#jobOf(message, plan, ordered, maxPayloadBytes) };
    }
    return this.#openNew(message, maxPayloadBytes);
  }

  #openNew(message: WorkMessage, maxPayloadBytes: number): OpenedRequest {
    const { batching, signature } = this.#served;
    const { jsonLength, payload } = message;
    const request = decodeInferRequest(payload, jsonLength, signature);
    validateInputs(signature, request);
    const inputs = orderInputs(signature, request.inputs);
    const outputNames = (request.outputs ?? signature.outputs).map(({ name }) => name);
    const read = {
      rows: batching.maxBatchSize > 1 ? describeRows(inputs, outputNames, batching.maxBatchSize) : undefined,
      outputNames,
      json: outputNames.some((name) => !wantsBinary(request, name)),
    };
    const parts = request.id === undefined ? partsOf(payload, jsonLength, request.inputs) : undefined;
    if (parts !== undefined) {
      // An id is the request's own; without one the next may be the same but for its numbers.
      const common: InferRequest = { ...request, inputs: [] };
      this.#plans.learn(payload, jsonLength as number, { ...read, request: common, parts });
      this.#answerHeads.set(common, new Map());
    }
    return { request, job: this.#jobOf(message, read, inputs, maxPayloadBytes) };
  }

  #jobOf(
    { arrivedAtMs, budgetMs, ref }: WorkMessage,
    read: Pick<RequestPlan, 'rows' | 'outputNames' | 'json'>,
    inputs: readonly Tensor[],
    maxPayloadBytes: number,
  ): BatchJob {
    return {
      key: read.rows?.key,
      rows: read.rows?.rows ?? 1,
      exclusive: ref.delivery > 1 || this.#served.suspects.has(ref.streamSequence),
      arrivedAtMs,
      deadlineAtMs: arrivedAtMs + budgetMs,
      inputs,
      outputNames: read.outputNames,
      limitBytes: answerLimit(maxPayloadBytes),
      json: read.json,
      abandoned: false,
    };
  }

  /** The answer to a request; an error where it cannot be sent. */
  encode(
    request: InferRequest,
    outputs: readonly Tensor[],
    degraded: boolean,
    maxPayloadBytes: number,
  ): WireMessage {
    const heads = degraded ? undefined : this.#answerHeads.get(request);
    const shapes = heads === undefined ? '' : shapesOf(outputs);
    const head = heads?.get(shapes);
    const answer =
      head === undefined ? this.#encodeNew(request, outputs, degraded) : joinMessage(head, outputs);
    if (heads !== undefined && head === undefined && heads.size < maxAnswerShapes) {
      const reusable = reusableHead(answer, outputs);
      if (reusable !== undefined) heads.set(shapes, reusable);
    }
    if (answer.payload.byteLength > answerLimit(maxPayloadBytes)) {
      throw answerTooLarge(answer.payload.byteLength, maxPayloadBytes, '');
    }
    return answer;
  }

  #encodeNew(request: InferRequest, outputs: readonly Tensor[], degraded: boolean): WireMessage {
    const { model, version } = this.#served;
    return encodeInferResponse(
      {
        modelName: model,
        modelVersion: String(version.version),
        ...(request.id === undefined ? {} : { id: request.id }),
        ...(degraded ? { parameters: { degraded: true } } : {}),
        outputs,
      },
      (name) => wantsBinary(request, name),
    );
  }
}

/** Beginnings of answers that are remembered for one kind of request: its rows are fixed, other dimensions may vary. */
const maxAnswerShapes = 64;

/** What besides the request an answer's JSON part depends on: shapes, and bytes, which must be those of the shapes. */
function shapesOf(outputs: readonly Tensor[]): string {
  let text = '';
  for (const { data, datatype, shape } of outputs) text += `${datatype}${shape.join(',')}:${data.length};`;
  return text;
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
