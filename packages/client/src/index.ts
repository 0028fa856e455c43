/** Client SDK of Troupe. */
export {
  ErrorClass,
  type ErrorReason,
  type EventKind,
  type Finding,
  type ModelSummary,
  type Residency,
  type RolloutRecord,
  TroupeError,
  type TroupeEvent,
  type VersionSummary,
} from '@troupe/shared';
export type { DeadLetter } from '@troupe/shared/nats';
export type { TroupeClient } from './sdk/client.js';
export type {
  DeadLetterRef,
  HostSummary,
  ModelDetails,
  WorkerSummary,
} from './sdk/cluster-answers.js';
export { connect } from './sdk/connect.js';
export type { ConnectOptions } from './sdk/connect-options.js';
export type { DoctorReport } from './sdk/doctor.js';
export type { EventOptions } from './sdk/event-feed.js';
export type { InferOptions } from './sdk/infer-options.js';
export type { InferResult, OutputTensor } from './sdk/infer-result.js';
export {
  type InputElement,
  type Inputs,
  type InputTensor,
  type InputValue,
  type NestedInput,
  tensor,
} from './sdk/input-tensor.js';
export type { RecordGoldenOptions } from './sdk/record-golden.js';
export type { RegisteredModel, RegisterModelOptions, RegisterProgress } from './sdk/register-model.js';
export type { RolloutOptions, RolloutStatus } from './sdk/rollout.js';
