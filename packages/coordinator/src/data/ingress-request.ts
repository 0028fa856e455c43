/**
 * Checks a request at the door for plain NATS clients, before it costs a place in a queue. Cheap on purpose: names,
 * headers and the outline of the payload; what is inside the JSON is the runner's to judge, which must decode it
 * anyway and names the field. Pure.
 */
import {
  defaults,
  Header,
  parseLabel,
  parseModelName,
  parseTraceparent,
  parseVersion,
  quoteName,
  TroupeError,
  type VersionSelector,
  type WireMessage,
} from '@troupe/shared';
import type { IngressRequest } from '@troupe/shared/nats';

/** A request that may be routed. */
export interface CheckedRequest {
  readonly model: string;
  readonly selector: VersionSelector;
  readonly message: WireMessage;
  readonly requestId: string | undefined;
  readonly deadlineMs: number;
  /** Absent where it came malformed, as W3C asks. */
  readonly traceparent: string | undefined;
}

const requestIdPattern = /^[\x21-\x7e]{1,128}$/;
const stickyLimit = 256;
const openBrace = '{'.charCodeAt(0);

/** Checks; throws `model.name`, `request.name`, `request.empty`, `request.binary_length`, `request.shape` or `request.parameter`. */
export function checkIngressRequest(request: IngressRequest, defaultDeadlineMs: number): CheckedRequest {
  const [model, selector, ...rest] = request.tokens;
  if (rest.length > 0) {
    throw new TroupeError(
      'model.name',
      `the subject names ${quoteName(request.tokens.join('.'))}: a model, then at most a version or a label; names have no dots`,
    );
  }
  const name = parseModelName(model);
  const { sticky } = request;
  if (sticky !== undefined && sticky.length > stickyLimit) {
    throw new TroupeError(
      'request.parameter',
      `${Header.Sticky} has ${sticky.length} characters, at most ${stickyLimit}`,
    );
  }
  return {
    model: name,
    selector: selector === undefined ? (sticky === undefined ? {} : { sticky }) : parseSelector(selector),
    message: checkPayload(request),
    requestId: checkRequestId(request.requestId),
    deadlineMs: checkBudget(request.budgetMs, defaultDeadlineMs),
    traceparent: isTraceparent(request.traceparent) ? request.traceparent : undefined,
  };
}

function isTraceparent(text: string | undefined): boolean {
  return text !== undefined && parseTraceparent(text) !== undefined;
}

function parseSelector(token: string): VersionSelector {
  return /^\d/.test(token) ? { version: parseVersion(token) } : { label: parseLabel(token) };
}

function checkPayload({ payload, jsonLength }: IngressRequest): WireMessage {
  if (payload.length === 0) {
    throw new TroupeError('request.empty', 'the payload is empty: an inference request in JSON is wanted');
  }
  // 0 announces a raw request: the payload is the model's one input, and no JSON is in it.
  if (jsonLength === 0) return { payload, jsonLength };
  if (jsonLength !== undefined && !(jsonLength >= 2 && jsonLength <= payload.length)) {
    const found = Number.isNaN(jsonLength) ? 'is not a number' : `is ${jsonLength}`;
    throw new TroupeError(
      'request.binary_length',
      `${Header.InferenceLength} ${found}: the bytes of the JSON part, from 2 to ${payload.length}, or 0 where the payload is one raw tensor`,
    );
  }
  if (firstCharacter(payload) !== openBrace) {
    throw new TroupeError('request.shape', 'the payload is not a JSON object: it must begin with {');
  }
  return { payload, jsonLength };
}

/** First byte that is no JSON white space. */
function firstCharacter(payload: Uint8Array): number | undefined {
  return payload.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
}

function checkRequestId(value: string | undefined): string | undefined {
  if (value === undefined || requestIdPattern.test(value)) return value;
  throw new TroupeError(
    'request.parameter',
    `${Header.RequestId} must be 1 to 128 printable ASCII characters`,
  );
}

function checkBudget(value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (value >= 1 && value <= defaults.maxDeadlineMs) return value;
  throw new TroupeError(
    'request.parameter',
    `${Header.BudgetMs} must be a whole number of milliseconds from 1 to ${defaults.maxDeadlineMs}`,
  );
}
