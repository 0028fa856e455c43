/** Catalogue of message headers. Get is case-sensitive in the client library, so everyone spells them from here. */
export const Header = {
  /** Where the runner publishes the answer: JetStream does not keep the reply subject of a publish. */
  Reply: 'Troupe-Reply',
  /** Second inbox, which gets an empty message once the answer was published (the ingress waits there). */
  Done: 'Troupe-Done',
  /** What was left of the request's deadline at publish, in whole milliseconds. */
  BudgetMs: 'Troupe-Budget-Ms',
  /** Request id; the same on every repeat of one request. */
  RequestId: 'Troupe-Id',
  /** Set to `1` where the caller pinned the version: no other version may answer. */
  Pinned: 'Troupe-Pinned',
  /** The version that was asked for, where its run failed and another one repeats it: the answer is marked degraded. */
  AskedVersion: 'Troupe-Asked-Version',
  /** Beside it `1` where the request did not fail by itself: it was in the hands of a runner that died. */
  Suspect: 'Troupe-Suspect',
  /** Sticky key for weighted routes. */
  Sticky: 'Troupe-Sticky',
  /** Publish attempt, from 2 on. */
  Attempt: 'Troupe-Attempt',
  /** W3C trace context. */
  TraceParent: 'traceparent',
  /** Bytes of the JSON part where binary tensors follow (OIP binary tensor data extension). */
  InferenceLength: 'Inference-Header-Content-Length',
  /** Text of an error answer, as NATS micro services send it (ADR-32). */
  ServiceError: 'Nats-Service-Error',
  /** Numeric code of an error answer (ADR-32). */
  ServiceErrorCode: 'Nats-Service-Error-Code',
} as const;
