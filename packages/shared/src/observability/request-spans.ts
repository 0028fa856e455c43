/**
 * The two spans of a request: the client's, from the call to the answer, and beneath it the runner's, from the arrival
 * of the message to its answer. By OpenTelemetry's API alone: without an SDK in the process no span is made.
 */
import {
  type Attributes,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import type { TroupeError } from '../errors/troupe-error.js';
import { SpanAttribute, tracerName } from '../names/span-names.js';
import { formatTraceparent, parseTraceparent } from './trace-context.js';
import type { TraceShare } from './trace-share.js';

const tracer = trace.getTracer(tracerName);

/** The client's span of one request. */
export interface RequestSpan {
  /** For the message. */
  readonly traceparent: string;
  /** Once; with the error that the caller gets, where it gets one. */
  end(error?: TroupeError): void;
}

/**
 * Begins the span of a request beneath the active one; `undefined` where its trace is not sampled, or nothing is traced.
 * Nobody reads what an unsampled request would bring along, and a header costs every process on its way. Where no span
 * is active, only a share of the requests is put to the sampler, which wants two random ids for each. `nowMs` is of
 * `performance.now()`.
 */
export function startRequestSpan(model: string, share: TraceShare, nowMs: number): RequestSpan | undefined {
  const active = context.active();
  const parent = trace.getSpanContext(active);
  if (parent === undefined && !share.choose(nowMs)) return undefined;
  // Samplers follow the span that is active; an SDK makes ids and an object before it asks one.
  if (parent !== undefined && isSpanContextValid(parent) && !isSampled(parent)) return undefined;
  const span = tracer.startSpan(
    `infer ${model}`,
    { kind: SpanKind.CLIENT, attributes: { [SpanAttribute.Model]: model } },
    active,
  );
  if (parent === undefined) share.went(performance.now());
  const made = span.spanContext();
  if (!isSampled(made)) return undefined;
  return {
    traceparent: formatTraceparent(made),
    end: (error) => endSpan(span, error),
  };
}

/** What a runner knows of a request that it has answered. */
export interface AnsweredRequest {
  /** As the message brought it. */
  readonly traceparent: string;
  readonly model: string;
  readonly version: number;
  readonly requestId: string;
  readonly delivery: number;
  readonly degraded: boolean;
  /** On the process's `performance.now()` clock, as is the next. */
  readonly arrivedAtMs: number;
  readonly answeredAtMs: number;
  readonly error: TroupeError | undefined;
}

/** Makes the span of a request that was answered, where its caller's trace is sampled. */
export function traceAnswered(request: AnsweredRequest): void {
  const parent = parseTraceparent(request.traceparent);
  if (parent === undefined || !isSampled(parent)) return;
  const { answeredAtMs, arrivedAtMs, degraded, delivery, error, model, requestId, version } = request;
  const attributes: Attributes = {
    [SpanAttribute.Model]: model,
    [SpanAttribute.Version]: version,
    [SpanAttribute.RequestId]: requestId,
    [SpanAttribute.Delivery]: delivery,
    [SpanAttribute.Degraded]: degraded,
  };
  const span = tracer.startSpan(
    `run ${model}`,
    { kind: SpanKind.SERVER, attributes, startTime: arrivedAtMs },
    trace.setSpanContext(ROOT_CONTEXT, parent),
  );
  endSpan(span, error, answeredAtMs);
}

function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

function endSpan(span: Span, error: TroupeError | undefined, endMs?: number): void {
  if (error !== undefined) {
    span.setAttribute(SpanAttribute.ErrorType, error.reason);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span.end(endMs);
}
