/** The inference request and response of OIP v2, decoded. The codec beside this file maps them to bytes. */
import type { Tensor } from './tensor.js';

/** Values that OIP allows in `parameters`. */
export type ParameterValue = string | number | boolean;
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** An output that the caller asks for. */
export interface RequestedOutput {
  readonly name: string;
  /** `parameters.binary_data`: overrides the request's `binaryOutput`. */
  readonly binary?: boolean;
}

/** A decoded inference request. */
export interface InferRequest {
  /** Echoed in the response where given. */
  readonly id?: string;
  readonly parameters: Parameters;
  readonly inputs: readonly Tensor[];
  /** Absent: all outputs of the model, in graph order. */
  readonly outputs?: readonly RequestedOutput[];
  /** `parameters.binary_data_output`: the default encoding of outputs. */
  readonly binaryOutput: boolean;
}

/** A decoded (or to be encoded) inference response. */
export interface InferResponse {
  readonly modelName: string;
  /** Decimal version that really answered. */
  readonly modelVersion: string;
  readonly id?: string;
  /** `degraded: true` where another version than the assigned one answered. */
  readonly parameters?: Parameters;
  readonly outputs: readonly Tensor[];
}

/** Bytes of a message, and the length of its JSON part where binary tensors follow it. */
export interface WireMessage {
  readonly payload: Uint8Array;
  /** Value of `Inference-Header-Content-Length`; `undefined` where the payload is JSON only. */
  readonly jsonLength: number | undefined;
}
