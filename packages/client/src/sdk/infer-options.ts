/** Options of `infer()` in three stages: as given, with defaults, checked. Only the last travels inside. */
import { randomBytes } from 'node:crypto';
import { defaults, parseLabel, parseVersion, quoteName, TroupeError } from '@troupe/shared';
import { assertOptionNames } from './connect-options.js';
import { describe } from './input-tensor.js';

/** How a request is to be run. All of it is optional. */
export interface InferOptions {
  /** Pins the version: no other answers. Not together with `label`. */
  readonly version?: number;
  /** The version that bears this label. Default: the route's weights, usually all on `stable`. */
  readonly label?: string;
  /** Names of the wanted outputs. Default: all, in the order of the graph. */
  readonly outputs?: readonly string[];
  /** From now, in milliseconds, 1 to 300,000. Default 10,000 (`TROUPE_DEADLINE_MS`). */
  readonly deadlineMs?: number;
  /** Cancels the request: it rejects with `request.cancelled`, and the cluster drops it where it still waits. */
  readonly signal?: AbortSignal;
  /** Comes back in the answer, for the caller's own bookkeeping; need not be unique. Default one that is made up. */
  readonly id?: string;
  /** Requests with the same key go to the same version while the route's weights stand. */
  readonly sticky?: string;
}

/** With defaults; values are not checked yet. */
export interface ResolvedInferOptions extends Omit<InferOptions, 'deadlineMs' | 'id'> {
  readonly deadlineMs: number;
  readonly id: string;
  /** Names the request on the wire; the same on every repeat, never the caller's. */
  readonly requestId: string;
}

/** Checked: what travels inside. Output names are checked once the signature is known. */
export interface CheckedInferOptions {
  readonly version: number | undefined;
  readonly label: string | undefined;
  readonly outputs: readonly string[] | undefined;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly id: string;
  readonly requestId: string;
  readonly sticky: string | undefined;
}

const optionNames = ['version', 'label', 'outputs', 'deadlineMs', 'signal', 'id', 'sticky'];

/** Ids of this process: a random beginning, then a count. As good as a random one each time, and far cheaper. */
const idPrefix = `${randomBytes(12).toString('base64url')}-`;
let idCount = 0;

function nextRequestId(): string {
  idCount += 1;
  return idPrefix + idCount.toString(36);
}

/** What stands for options that were left out. */
export const noInferOptions: InferOptions = Object.freeze({});

/** The usual case, `noInferOptions`, without looking at each of them. */
export function defaultInferOptions(deadlineMs: number): CheckedInferOptions {
  const requestId = nextRequestId();
  return {
    version: undefined,
    label: undefined,
    outputs: undefined,
    deadlineMs,
    signal: undefined,
    id: requestId,
    requestId,
    sticky: undefined,
  };
}

/** Fills in what was not given. `deadlineMs` is the cluster's default. */
export function resolveInferOptions(
  options: InferOptions,
  deadlineMs: number = defaults.deadlineMs,
): ResolvedInferOptions {
  assertOptionNames('infer', options, optionNames);
  const requestId = nextRequestId();
  return { ...options, deadlineMs: options.deadlineMs ?? deadlineMs, id: options.id ?? requestId, requestId };
}

/** Checks everything at once. Throws `request.parameter` or `request.name`, naming the option. */
export function checkInferOptions(options: ResolvedInferOptions): CheckedInferOptions {
  const { version, label, deadlineMs, signal, outputs } = options;
  if (version !== undefined && label !== undefined) {
    throw parameter('version and label exclude each other: a label is a name for a version');
  }
  if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > defaults.maxDeadlineMs) {
    throw parameter(
      `deadlineMs is ${describe(deadlineMs)}: a whole number of milliseconds from 1 to ${defaults.maxDeadlineMs} is wanted`,
    );
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw parameter(`signal is ${describe(signal)}: an AbortSignal is wanted`);
  }
  return {
    version: version === undefined ? undefined : parseVersion(version),
    label: label === undefined ? undefined : parseLabel(label),
    outputs: outputs === undefined ? undefined : checkOutputs(outputs),
    deadlineMs,
    signal,
    id: options.id === options.requestId ? options.id : checkText('id', options.id),
    requestId: options.requestId,
    sticky: options.sticky === undefined ? undefined : checkText('sticky', options.sticky),
  };
}

function checkOutputs(outputs: unknown): readonly string[] {
  if (!Array.isArray(outputs) || outputs.some((name) => typeof name !== 'string')) {
    throw parameter(`outputs is ${describe(outputs)}: an array of output names is wanted`);
  }
  if (outputs.length === 0) throw parameter('outputs is empty: name at least one, or leave it out for all');
  const seen = new Set<string>();
  for (const name of outputs as readonly string[]) {
    if (seen.has(name)) {
      throw new TroupeError('request.output_duplicate', `output ${quoteName(name)} is asked for twice`);
    }
    seen.add(name);
  }
  return [...seen];
}

/** `sticky` travels in a header, which is one line. */
function checkText(option: string, value: unknown): string {
  if (
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= 256 &&
    /^[\x20-\x7e\u00a0-\uffff]*$/.test(value)
  ) {
    return value;
  }
  throw parameter(
    `${option} is ${describe(value)}: 1 to 256 characters without control characters are wanted`,
  );
}

function isAbortSignal(value: unknown): value is AbortSignal {
  return value instanceof EventTarget && 'aborted' in value;
}

function parameter(message: string): TroupeError {
  return new TroupeError('request.parameter', message);
}
