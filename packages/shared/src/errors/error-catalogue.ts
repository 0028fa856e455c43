/**
 * The whole error catalogue of Troupe: one row per reason.
 * Every error that crosses a process boundary has one of these reasons; nothing else invents reasons.
 */

/** Closed set of error classes (wire format). */
export const ErrorClass = {
  InvalidRequest: 'invalid_request',
  NotFound: 'not_found',
  Conflict: 'conflict',
  RateLimited: 'rate_limited',
  CapacityExhausted: 'capacity_exhausted',
  Unavailable: 'unavailable',
  DeadlineExceeded: 'deadline_exceeded',
  Cancelled: 'cancelled',
  Unauthorized: 'unauthorized',
  Internal: 'internal',
} as const;
export type ErrorClass = (typeof ErrorClass)[keyof typeof ErrorClass];

/** What a reason stands for. */
export interface ErrorKind {
  /** The class, which callers may switch over. */
  readonly class: ErrorClass;
  /** HTTP status; also sent as `Nats-Service-Error-Code`. */
  readonly status: number;
  /** Whether another worker, or the same one later, may succeed with the same request. */
  readonly retryable: boolean;
}

const kind = (errorClass: ErrorClass, status: number, retryable = false): ErrorKind => ({
  class: errorClass,
  status,
  retryable,
});

/** Reason → kind. Wire format: reasons are only ever added. */
export const errorCatalogue = {
  // The request itself.
  'request.empty': kind('invalid_request', 400),
  'request.json_syntax': kind('invalid_request', 400),
  'request.json_depth': kind('invalid_request', 400),
  'request.shape': kind('invalid_request', 400),
  'request.binary_length': kind('invalid_request', 400),
  'request.parameter': kind('invalid_request', 400),
  'request.input_missing': kind('invalid_request', 400),
  'request.input_unknown': kind('invalid_request', 400),
  'request.input_duplicate': kind('invalid_request', 400),
  'request.output_unknown': kind('invalid_request', 400),
  'request.output_duplicate': kind('invalid_request', 400),
  'request.tensor_datatype': kind('invalid_request', 400),
  'request.tensor_shape': kind('invalid_request', 400),
  'request.tensor_length': kind('invalid_request', 400),
  'request.tensor_value': kind('invalid_request', 400),
  'request.too_large': kind('invalid_request', 413),
  'request.name': kind('invalid_request', 400),
  'request.arguments': kind('invalid_request', 400),
  'request.cancelled': kind('cancelled', 499),
  'request.deadline': kind('deadline_exceeded', 504),
  'request.poison': kind('internal', 500),
  'request.redelivery_limit': kind('internal', 500),
  'answer.too_large': kind('invalid_request', 413),
  'answer.malformed': kind('internal', 500),
  'answer.not_json': kind('invalid_request', 422),

  // Models and versions.
  'model.unknown': kind('not_found', 404),
  'model.version_unknown': kind('not_found', 404),
  'model.label_unknown': kind('not_found', 404),
  'model.version_unavailable': kind('unavailable', 503, true),
  'model.version_retired': kind('not_found', 404),
  'model.loading': kind('unavailable', 503, true),
  'model.name': kind('invalid_request', 400),
  'model.in_use': kind('conflict', 409),
  'model.not_onnx': kind('invalid_request', 422),
  'model.digest': kind('invalid_request', 422),
  'model.external_data': kind('invalid_request', 422),
  'model.datatype_unsupported': kind('invalid_request', 422),
  'model.input_unsupported': kind('invalid_request', 422),
  'model.no_tensor_output': kind('invalid_request', 422),
  'model.runtime_unsupported': kind('invalid_request', 422),
  'model.not_batchable': kind('invalid_request', 422),
  'model.trial_failed': kind('invalid_request', 422),
  'model.golden': kind('invalid_request', 422),
  'model.load_failed': kind('unavailable', 503, true),
  'model.run_failed': kind('invalid_request', 422),
  'model.run_limit': kind('internal', 500),
  'model.output_invalid': kind('internal', 500),

  // Placement and capacity.
  'placement.no_slot': kind('unavailable', 503, true),
  'placement.no_memory': kind('unavailable', 503, true),
  'placement.no_host': kind('unavailable', 503, true),
  'placement.host_unknown': kind('not_found', 404),
  'placement.no_device': kind('invalid_request', 400),
  'device.unusable': kind('unavailable', 503),
  'queue.full': kind('capacity_exhausted', 429, true),

  // Rollouts.
  'rollout.active': kind('conflict', 409),
  'rollout.none': kind('not_found', 404),
  'rollout.condemned': kind('conflict', 409),
  'rollout.signature': kind('invalid_request', 422),
  'rollout.no_stable': kind('conflict', 409),
  'rollout.no_room': kind('unavailable', 503, true),

  // Servers and cluster.
  'nats.unreachable': kind('unavailable', 503, true),
  'nats.no_jetstream': kind('unavailable', 503),
  'nats.unauthorized': kind('unauthorized', 401),
  'nats.failed': kind('unavailable', 503, true),
  'redis.unreachable': kind('unavailable', 503, true),
  'redis.not_durable': kind('unavailable', 503),
  'redis.unauthorized': kind('unauthorized', 401),
  'cluster.absent': kind('unavailable', 503, true),
  'cluster.no_leader': kind('unavailable', 503, true),
  'artifact.missing': kind('not_found', 404, true),
  'artifact.unreachable': kind('unavailable', 503, true),
  'epoch.stale': kind('conflict', 409),
  'registry.conflict': kind('conflict', 409, true),
  'admin.not_found': kind('not_found', 404),
  'config.invalid': kind('invalid_request', 400),
  'client.closed': kind('cancelled', 499),
  'runner.lost': kind('unavailable', 503, true),
  'internal.unexpected': kind('internal', 500),
} as const satisfies Record<string, ErrorKind>;

/** Dotted reason of an error (wire format). */
export type ErrorReason = keyof typeof errorCatalogue;

/** Whether a string from the wire is a reason that this version knows. */
export function isErrorReason(value: unknown): value is ErrorReason {
  return typeof value === 'string' && Object.hasOwn(errorCatalogue, value);
}
