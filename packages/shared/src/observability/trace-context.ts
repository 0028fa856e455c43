/**
 * W3C trace context across NATS, by OpenTelemetry's API alone: without an SDK in the process nothing is written or
 * read, at no cost. The client injects; whoever runs a request extracts.
 */
import { type Context, context, propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import { Header } from '../names/headers.js';

/** The `traceparent` of a context's span, by default the active one; `undefined` where nothing is traced. */
export function injectTraceparent(of: Context = context.active()): string | undefined {
  const carrier: Record<string, string> = {};
  propagation.inject(of, carrier);
  return carrier[Header.TraceParent];
}

/** The context that a received `traceparent` names: the parent of the spans made for the request. */
export function extractTraceparent(traceparent: string | undefined): Context {
  if (traceparent === undefined) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, { [Header.TraceParent]: traceparent });
}
