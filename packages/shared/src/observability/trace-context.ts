/**
 * The header `traceparent` ([W3C](https://www.w3.org/TR/trace-context/)), written and read here and not by the process's
 * propagator: that may be set to another format, which nobody on the way would know, and it makes a context and a carrier
 * for what is one line of text.
 */
import { isSpanContextValid, type SpanContext } from '@opentelemetry/api';

/** Version, trace, span, flags; what versions to come may append. */
const traceparentFormat = /^(?!ff)([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** The `traceparent` that names a span. */
export function formatTraceparent({ traceFlags, traceId, spanId }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** The span that a received `traceparent` names; `undefined` where it is not one. */
export function parseTraceparent(text: string): SpanContext | undefined {
  const match = traceparentFormat.exec(text);
  if (match === null) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = match;
  if (version === '00' && more !== undefined) return undefined;
  const named = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(named) ? named : undefined;
}
