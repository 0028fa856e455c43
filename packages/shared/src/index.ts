/** What Troupe's processes share, without its servers: see the subpaths `/nats`, `/redis` and `/onnx`. */
export {
  type Configuration,
  describeSettings,
  resolveConfiguration,
  type ShownSetting,
} from './config/configuration.js';
export { defaults } from './config/defaults.js';
export {
  type ClusterSettings,
  childEnvironment,
  type Environment,
  EnvName,
  type NatsReplicas,
  readEnvironment,
  readVisibleGpus,
  type Variables,
} from './config/environment.js';
export type { NatsAccess } from './config/server-access.js';
export { type Setting, settingCatalogue } from './config/setting-catalogue.js';
export { type WaitForServerOptions, waitForServer } from './config/wait-for-server.js';
export { type Device, DeviceKind, parseDevice } from './control/device.js';
export type { Finding, FindingState } from './control/finding.js';
export type {
  Assignment,
  HostCommand,
  HostCommandEnvelope,
  HostCommandReply,
  Probation,
  TrialRequest,
  TrialVerdict,
} from './control/host-command.js';
export { type DeviceReport, type HostReport, type WorkerReport, WorkerState } from './control/host-report.js';
export {
  budgetOf,
  chargeMemory,
  estimateMemory,
  type MemoryBudgets,
  parseBytes,
  parseMemoryBudgets,
} from './control/memory-budget.js';
export {
  ErrorClass,
  type ErrorKind,
  type ErrorReason,
  errorCatalogue,
  isErrorReason,
} from './errors/error-catalogue.js';
export {
  asTroupeError,
  decodeError,
  encodeError,
  TroupeError,
  type TroupeErrorOptions,
  type WireError,
} from './errors/troupe-error.js';
export type { CampaignOutcome, HostLease, LeaseStore, RenewOutcome } from './leases/lease-store.js';
export {
  createMemoryLeaseStore,
  type MemoryLeaseOptions,
  type MemoryLeaseStore,
} from './leases/memory-lease-store.js';
export { isAnswerSubject } from './names/answer-subject.js';
export { EventKind, type TroupeEvent } from './names/events.js';
export { Header } from './names/headers.js';
export { MetricName, metricName } from './names/metrics.js';
export {
  defaultNamespace,
  parseHostName,
  parseLabel,
  parseModelName,
  parseNamespace,
  parseVersion,
  quoteName,
} from './names/namespace.js';
export { createRedisKeys, type RedisKeys } from './names/redis-keys.js';
export { SpanAttribute, tracerName } from './names/span-names.js';
export { createSubjects, defaultPriority, type Priority, type Subjects } from './names/subjects.js';
export { createLog, type Log } from './observability/log.js';
export {
  type AnsweredRequest,
  type RequestSpan,
  startRequestSpan,
  traceAnswered,
} from './observability/request-spans.js';
export { parseTraceparent } from './observability/trace-context.js';
export { TraceShare } from './observability/trace-share.js';
export { collectGarbage } from './process/collect-garbage.js';
export { machineClockMs } from './process/machine-clock.js';
export { readPackageVersion } from './process/package-version.js';
export { CommandLineExit, runCommand } from './process/run-command.js';
export { compareTensors, type Tolerance } from './protocol/compare-tensors.js';
export {
  Datatype,
  type DatatypeArrays,
  datatypeBytes,
  isDatatype,
  type NumericArray,
  type NumericDatatype,
  viewAs,
} from './protocol/datatype.js';
export { fromHalfArray, fromHalfBits, toHalfArray, toHalfBits } from './protocol/half.js';
export type {
  InferRequest,
  InferResponse,
  Parameters,
  ParameterValue,
  RequestedOutput,
  WireMessage,
} from './protocol/infer-message.js';
export {
  type DecodeLimits,
  decodeInferRequest,
  encodeInferRequest,
  type InferRequestParts,
  wantsBinary,
} from './protocol/infer-request-codec.js';
export { decodeInferResponse, encodeInferResponse } from './protocol/infer-response-codec.js';
export {
  HeadCache,
  joinMessage,
  partsOf,
  readParts,
  reusableHead,
  type TensorPart,
} from './protocol/message-heads.js';
export { nearestName } from './protocol/nearest-name.js';
export type { Signature, TensorSpec } from './protocol/signature.js';
export { elementCount, type Tensor } from './protocol/tensor.js';
export { tensorFromValues } from './protocol/tensor-values.js';
export { validateInputs } from './protocol/validate-inputs.js';
export { decodeGoldenCase } from './registry/golden-case.js';
export { createMemoryRegistryStore, type MemoryRegistryOptions } from './registry/memory-registry-store.js';
export type {
  BatchSettings,
  DecodedGoldenCase,
  GoldenCase,
  GoldenTensor,
  HostSettings,
  ModelRecord,
  ModelVersion,
  VersionLimits,
} from './registry/model-record.js';
export { Residency } from './registry/model-record.js';
export type { ModelSummary, VersionSummary } from './registry/model-summary.js';
export type {
  AuditEntry,
  ModelSettings,
  NewModelVersion,
  RegisterOutcome,
  RegistrySnapshot,
  RegistryStore,
  RolloutChange,
  WriteGuard,
} from './registry/registry-store.js';
export {
  isActiveRollout,
  RollbackCause,
  type RolloutEvidence,
  type RolloutNote,
  RolloutPhase,
  type RolloutRecord,
  type RolloutSettings,
  type RolloutStep,
  RolloutStrategy,
  storyLines,
  type VersionFigures,
} from './rollout/rollout-record.js';
export { type PickedVersion, pickVersion, type VersionSelector } from './routing/pick-version.js';
export type { RouteVersion, RoutingEntry } from './routing/routing-entry.js';
