/** The answer to the caller: outputs by name, each a typed array of its own memory. */
import {
  type Datatype,
  type DatatypeArrays,
  decodeInferResponse,
  HeadCache,
  type InferResponse,
  type NumericDatatype,
  partsOf,
  type Tensor,
  type TensorPart,
  TroupeError,
  viewAs,
  type WireMessage,
} from '@troupe/shared';

/** One output. BOOL is 0 and 1, FP16 raw half bits (`fromHalfArray` of @troupe/shared makes numbers of them). */
export type OutputTensor =
  | {
      readonly [D in NumericDatatype]: {
        readonly data: DatatypeArrays[D];
        readonly shape: readonly number[];
        readonly datatype: D;
      };
    }[NumericDatatype]
  | { readonly data: readonly string[]; readonly shape: readonly number[]; readonly datatype: 'BYTES' };

/** The answer to a request. */
export interface InferResult {
  readonly model: string;
  /** The version that really answered. */
  readonly version: number;
  /** True where that is not the version which the request was routed to: it could not serve. */
  readonly degraded: boolean;
  /** As in the options, or the one that was made up. */
  readonly id: string;
  /** By name, without a prototype: a model may call an output `constructor`. */
  readonly outputs: Readonly<Record<string, OutputTensor>>;
}

/** What the JSON part of a binary answer says. */
interface AnswerPlan {
  readonly model: string;
  readonly version: number;
  readonly degraded: boolean;
  readonly parts: readonly TensorPart[];
}

/** Of all models that this process asks; the JSON parts name theirs. */
const plans = new HeadCache<AnswerPlan>();

/** Decodes an answer. Throws `answer.malformed`. */
export function decodeInferResult(message: WireMessage, id: string): InferResult {
  const { jsonLength, payload } = message;
  const plan = plans.find(payload, jsonLength);
  if (plan !== undefined && payload.byteLength === (jsonLength ?? 0) + (plan.parts.at(-1)?.end ?? 0)) {
    return readAnswer(plan, payload, jsonLength ?? 0, id);
  }
  const response: InferResponse = decodeInferResponse(payload, jsonLength);
  const version = Number(response.modelVersion);
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new TroupeError(
      'answer.malformed',
      `the answer's version ${JSON.stringify(response.modelVersion)} is none`,
    );
  }
  const outputs = Object.create(null) as Record<string, OutputTensor>;
  for (const output of response.outputs) outputs[output.name] = outputOf(output);
  const { modelName: model } = response;
  const degraded = response.parameters?.degraded === true;
  const parts = response.id === undefined ? partsOf(payload, jsonLength, response.outputs) : undefined;
  if (parts !== undefined) plans.learn(payload, jsonLength ?? 0, { model, version, degraded, parts });
  return { model, version, degraded, id, outputs };
}

/** An answer whose JSON part is known. */
function readAnswer(plan: AnswerPlan, payload: Uint8Array, jsonLength: number, id: string): InferResult {
  const { degraded, model, parts, version } = plan;
  const outputs = Object.create(null) as Record<string, OutputTensor>;
  for (const { datatype, end, name, shape, start } of parts) {
    // A copy, and shapes of their own, as below.
    const bytes = new Uint8Array(end - start);
    bytes.set(new Uint8Array(payload.buffer, payload.byteOffset + jsonLength + start, end - start));
    outputs[name] = { data: viewAs(datatype, bytes), shape: [...shape], datatype } as OutputTensor;
  }
  return { model, version, degraded, id, outputs };
}

function outputOf(tensor: Tensor): OutputTensor {
  const { datatype, shape } = tensor;
  if (isStrings(tensor.data)) return { data: tensor.data, shape, datatype: 'BYTES' };
  // A copy: the bytes lie in the connection's buffer among other messages, and who gets a typed array may transfer it.
  const data = viewAs(datatype as NumericDatatype, new Uint8Array(tensor.data));
  return { data, shape, datatype: datatype as Exclude<Datatype, 'BYTES'> } as OutputTensor;
}

function isStrings(data: Tensor['data']): data is readonly string[] {
  return Array.isArray(data);
}
