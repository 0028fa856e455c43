/**
 * One request from the caller's values to the caller's typed arrays: options, route, conversion, lane, answer.
 * Called by the client; everything that can be refused is refused here, before anything is sent.
 */
import { setMaxListeners } from 'node:events';
import {
  asTroupeError,
  nearestName,
  type PickedVersion,
  quoteName,
  type Signature,
  startRequestSpan,
  type TraceShare,
  TroupeError,
} from '@troupe/shared';
import type { WorkRequest, WorkSubmitter } from '@troupe/shared/nats';
import { convertInputs } from './convert-inputs.js';
import { encodeRequest } from './encode-request.js';
import {
  type CheckedInferOptions,
  checkInferOptions,
  defaultInferOptions,
  type InferOptions,
  noInferOptions,
  resolveInferOptions,
} from './infer-options.js';
import { decodeInferResult, type InferResult } from './infer-result.js';
import type { ModelRoutes } from './model-routes.js';

/** What a request needs of its client. */
export interface InferContext {
  readonly routes: ModelRoutes;
  readonly submitter: WorkSubmitter;
  /** Deadline of requests that name none, in milliseconds. */
  readonly deadlineMs: number;
  /** Of requests outside of any trace, those that may begin one. */
  readonly traceShare: TraceShare;
  /** Throws `client.closed` once the client closes. */
  assertOpen(): void;
}

/** Runs one request; rejects with a TroupeError. */
export function inferOnce(
  context: InferContext,
  model: string,
  inputs: unknown,
  given: InferOptions,
): Promise<InferResult> {
  const startedAt = performance.now();
  const span = startRequestSpan(model, context.traceShare, startedAt);
  if (span === undefined) return ask(context, model, inputs, given, startedAt, undefined);
  return ask(context, model, inputs, given, startedAt, span.traceparent).then(
    (result) => {
      span.end();
      return result;
    },
    (thrown: unknown) => {
      span.end(asTroupeError(thrown));
      throw thrown;
    },
  );
}

/** No `async` and no `await`, but for a route that is not there yet: see `WorkSubmitter.submitFor`. */
function ask(
  context: InferContext,
  model: string,
  inputs: unknown,
  given: InferOptions,
  startedAt: number,
  traceparent: string | undefined,
): Promise<InferResult> {
  try {
    context.assertOpen();
    const options =
      given === noInferOptions
        ? defaultInferOptions(context.deadlineMs)
        : checkInferOptions(resolveInferOptions(given, context.deadlineMs));
    assertNotAborted(options.signal);
    // One signal for thousands of requests is no leak; Node would warn from the eleventh listener on.
    if (options.signal !== undefined) setMaxListeners(0, options.signal);
    const picked = context.routes.pick(model, options);
    const asked = { context, model, inputs, options, startedAt, traceparent };
    return picked instanceof Promise ? picked.then((route) => send(asked, route)) : send(asked, picked);
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}

/** A request whose options were read. */
interface Asked {
  readonly context: InferContext;
  readonly model: string;
  readonly inputs: unknown;
  readonly options: CheckedInferOptions;
  /** Monotonic, in milliseconds. */
  readonly startedAt: number;
  readonly traceparent: string | undefined;
}

function send(
  { context, inputs, model, options, startedAt, traceparent }: Asked,
  { pinned, route, version }: PickedVersion,
): Promise<InferResult> {
  assertNotAborted(options.signal);
  const tensors = convertInputs(model, route.signature, inputs);
  const outputs = options.outputs?.map((name) => ({ name: knownOutput(model, route.signature, name) }));
  // An id that was made up has no reader on the way; without it, requests of one shape begin alike.
  const id = options.id === options.requestId ? undefined : options.id;
  const message = encodeRequest(route.signature, tensors, outputs, id, context.submitter.takeMemory);
  // What the route cost, where it had to be asked for, is part of the caller's deadline.
  const deadlineMs = Math.floor(options.deadlineMs - (performance.now() - startedAt));
  if (deadlineMs < 1) {
    throw new TroupeError(
      'request.deadline',
      `the deadline of ${options.deadlineMs} ms passed before the request was sent`,
    );
  }
  // No spreads here: they cost more than all else in this function.
  const work: { -readonly [Key in keyof WorkRequest]: WorkRequest[Key] } = {
    model,
    version,
    message,
    requestId: options.requestId,
    deadlineMs,
    pinned,
  };
  if (route.state === 'cold') work.demand = true;
  if (options.signal !== undefined) work.signal = options.signal;
  if (options.sticky !== undefined) work.sticky = options.sticky;
  if (traceparent !== undefined) work.traceparent = traceparent;
  return context.submitter.submitFor(work, (answer) => {
    if (answer === undefined) throw new TroupeError('internal.unexpected', 'the answer went elsewhere');
    return decodeInferResult(answer, options.id);
  });
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new TroupeError('request.cancelled', 'the request was cancelled before it was sent', {
    cause: signal.reason,
  });
}

function knownOutput(model: string, signature: Signature, name: string): string {
  const known = signature.outputs.map((spec) => spec.name);
  if (known.includes(name)) return name;
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? '' : `: did you mean ${quoteName(nearest)}?`;
  throw new TroupeError(
    'request.output_unknown',
    `model ${model} has no output ${quoteName(name)}${hint} (it gives ${known.map(quoteName).join(', ')})`,
  );
}
