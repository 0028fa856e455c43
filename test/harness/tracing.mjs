/**
 * Loaded into a process by `--import`, as a team loads its tracing: OpenTelemetry's SDK with its own settings from
 * `OTEL_…`, and an exporter that appends each span as a line of JSON to `$TRACE_FOLDER/<pid>.jsonl`. With
 * `TRACE_PROPAGATOR=none` it brings no propagator, with `TRACE_CONTEXT_MANAGER=none` no context manager. With `TRACE_FROM`
 * nothing is traced until the file of that name is there; with `TRACE_SERVICE_STORAGE=used` the process has used an
 * `AsyncLocalStorage` before, as a service does for its own ends.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const folder = process.env.TRACE_FOLDER;

/** @type {import('@opentelemetry/sdk-trace-node').SpanExporter} */
const exporter = {
  export(spans, done) {
    const lines = spans.map((span) => {
      const { traceId, spanId } = span.spanContext();
      const { name, kind, startTime, duration, attributes, status } = span;
      const parentSpanId = span.parentSpanContext?.spanId;
      return JSON.stringify({
        traceId,
        spanId,
        parentSpanId,
        name,
        kind,
        startTime,
        duration,
        attributes,
        status,
      });
    });
    try {
      appendFileSync(join(folder ?? '.', `${process.pid}.jsonl`), `${lines.join('\n')}\n`);
      done({ code: 0 });
    } catch (error) {
      // the folder goes with the test, maybe before this process
      done({ code: 1, error: /** @type {Error} */ (error) });
    }
  },
  shutdown: async () => undefined,
};

function register() {
  const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
  provider.register({
    ...(process.env.TRACE_PROPAGATOR === 'none' ? { propagator: null } : {}),
    ...(process.env.TRACE_CONTEXT_MANAGER === 'none' ? { contextManager: null } : {}),
  });
  process.once('beforeExit', () => void provider.forceFlush());
}

if (process.env.TRACE_SERVICE_STORAGE === 'used') new AsyncLocalStorage().run({}, () => undefined);

if (folder !== undefined && isMainThread) {
  const from = process.env.TRACE_FROM;
  if (from === undefined) register();
  else {
    const look = setInterval(() => {
      if (!existsSync(from)) return;
      clearInterval(look);
      register();
    }, 100).unref();
  }
}
