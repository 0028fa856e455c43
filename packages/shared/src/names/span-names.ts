/** Names that Troupe gives to OpenTelemetry: its tracer and the attributes of its spans. */

/** The instrumentation scope. */
export const tracerName = 'troupe';

export const SpanAttribute = {
  Model: 'troupe.model.name',
  /** The version that ran, or was asked for. */
  Version: 'troupe.model.version',
  RequestId: 'troupe.request.id',
  /** Answered by another version than asked. */
  Degraded: 'troupe.degraded',
  /** How often the message came; 1 for nearly all. */
  Delivery: 'troupe.delivery',
  /** Reason of the error, from the catalogue. Source: OpenTelemetry semantic conventions, general attributes. */
  ErrorType: 'error.type',
} as const;
