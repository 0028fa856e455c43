/**
 * The client of a cluster: what `connect()` gives. Ties the link, the routing view and the submitter together and ends
 * them in order; the mechanisms stand in the files beside this one.
 */
import { setMaxListeners } from 'node:events';
import {
  asTroupeError,
  type GoldenCase,
  type ModelSummary,
  parseHostName,
  parseLabel,
  parseModelName,
  parseVersion,
  type Residency,
  TroupeError,
  type TroupeEvent,
} from '@troupe/shared';
import {
  callAdmin,
  createArtifactStore,
  createWorkSubmitter,
  type DeadLetter,
  type NatsLink,
  type RoutingView,
  recentEvents,
  watchEvents,
} from '@troupe/shared/nats';
import {
  type DeadLetterRef,
  type HostSummary,
  type ModelDetails,
  parseDeadLetterRef,
  parseDeadLetters,
  parseHosts,
  parseModel,
  parseModels,
  parseWorkers,
  type WorkerSummary,
} from './cluster-answers.js';
import { type DoctorReport, examineLink } from './doctor.js';
import { createEventFeed, type EventOptions, matcherOf } from './event-feed.js';
import { type InferOptions, noInferOptions } from './infer-options.js';
import { type InferContext, inferOnce } from './infer-request.js';
import type { InferResult } from './infer-result.js';
import { describe, type Inputs } from './input-tensor.js';
import { createModelRoutes } from './model-routes.js';
import { type RecordGoldenOptions, recordGolden } from './record-golden.js';
import { type RegisteredModel, type RegisterModelOptions, registerModel } from './register-model.js';
import { parseRolloutStatus, type RolloutOptions, type RolloutStatus, rolloutArguments } from './rollout.js';

/** A connected client. Every method rejects with a `TroupeError`, and with `client.closed` after `close()`. */
export interface TroupeClient extends AsyncDisposable {
  /** Addresses of NATS, without credentials. */
  readonly servers: string;
  readonly namespace: string;
  /** Requests that wait for their answer. */
  readonly openRequests: number;
  /** Resolves when the client is closed, with the reason where nobody asked for it. Never rejects. */
  readonly closed: Promise<Error | undefined>;

  /**
   * Runs a model.
   *
   * @param inputs name → value, or the value alone where the model has one input: a typed array, nested arrays, or
   *   `tensor(data, shape)`.
   * @throws `request.*` for what is wrong with the inputs, before anything is sent; `model.unknown`,
   *   `model.version_unknown`, `model.label_unknown`; `placement.no_slot`; `queue.full`; `request.deadline`;
   *   `request.cancelled`; `request.too_large`; and what the model's run gives (`model.run_failed`).
   */
  infer(model: string, inputs: Inputs, options?: InferOptions): Promise<InferResult>;

  /** Registers a version of a model and waits until it serves. Idempotent by content. */
  registerModel(options: RegisterModelOptions): Promise<RegisteredModel>;
  /**
   * Golden cases from the answers of a version that is live, for `registerModel`: what is meant to answer the same then has
   * to. Throws `model.unknown`, `model.label_unknown`, and what a request to that version throws.
   */
  recordGolden(model: string, options?: RecordGoldenOptions): Promise<GoldenCase[]>;
  /** All models with their versions and labels. */
  models(): Promise<ModelSummary[]>;
  /** One model, with signatures. Throws `model.unknown`. */
  model(name: string): Promise<ModelDetails>;
  /** Moves a label to a version; `null` takes it away. */
  label(model: string, label: string, version: number | null): Promise<void>;
  /** Deletes a version that bears no label, or the whole model. */
  deleteModel(model: string, version?: number): Promise<void>;
  /** Says when a model is in memory; `idleMs`: how long one on demand stays without a request. */
  setResidency(model: string, residency: Residency, options?: { readonly idleMs?: number }): Promise<void>;
  /** Has a condemned version tried again. */
  retryModel(model: string, version: number): Promise<void>;

  /**
   * Begins to put a version in the place of the stable one; resolves once it has begun. Throws `rollout.active`,
   * `rollout.condemned`, `rollout.signature`, `rollout.no_stable`, `rollout.no_room`, `model.unknown`,
   * `model.version_unknown`.
   */
  startRollout(model: string, version: number, options?: RolloutOptions): Promise<RolloutStatus>;
  /** The rollout of a model that is under way, or its last one. */
  rollout(model: string): Promise<RolloutStatus>;
  /** Holds a rollout where it is; what speaks against the version still takes it back. Throws `rollout.none`. */
  pauseRollout(model: string): Promise<RolloutStatus>;
  /** Goes on with a rollout that was held. Throws `rollout.none`. */
  resumeRollout(model: string): Promise<RolloutStatus>;
  /** Gives a rollout up without blaming its version. Throws `rollout.none`. */
  abortRollout(model: string): Promise<RolloutStatus>;
  /**
   * Takes the version back that is being rolled out, or the stable one, and condemns it. `to`: where to go back to; default
   * what was stable before. Throws `rollout.no_stable`, `rollout.condemned`.
   */
  rollback(model: string, options?: { readonly to?: number }): Promise<RolloutStatus>;

  /** Examines the cluster, its servers and the way to them; says how to mend what is found. */
  doctor(): Promise<DoctorReport>;
  /** All hosts that hold their lease, with devices, slots and workers. */
  hosts(): Promise<HostSummary[]>;
  /** The workers of all hosts, with their states and figures. */
  workers(): Promise<WorkerSummary[]>;
  /** Sets the slots of a host; workers that have no room any more drain. */
  scale(host: string, slots: number): Promise<void>;

  /** The newest requests that were given up, oldest first; `count` default 100, at most 10,000. */
  deadLetters(options?: { readonly count?: number; readonly model?: string }): Promise<DeadLetter[]>;
  /** Has a request that was given up run once more; nobody gets its answer. Throws `admin.not_found`. */
  replayDeadLetter(sequence: number): Promise<DeadLetterRef>;
  /** Removes a request that was given up for good. Throws `admin.not_found`. */
  dropDeadLetter(sequence: number): Promise<DeadLetterRef>;

  /** Events from now on. Ends with the client; a reader that falls far behind misses the oldest. */
  events(options?: EventOptions): AsyncIterableIterator<TroupeEvent, undefined>;
  /** Calls back for each event from now on; returns how to stop. */
  onEvent(listener: (event: TroupeEvent) => void, options?: Pick<EventOptions, 'kinds'>): () => void;
  /** The newest `count` events, oldest first. */
  recentEvents(count: number): Promise<TroupeEvent[]>;

  /** Rejects what is open with `client.closed`, and lets go of everything: the process may end. Idempotent. */
  close(): Promise<void>;
}

/** A view that reads from a server which is gone ends with the connection; there is no need to wait for its own end. */
const viewCloseBoundMs = 500;

/** A start may wait for workers of an earlier try to end. */
const rolloutStartTimeoutMs = 20_000;

const ofModel = (model: string) => ({ model: parseModelName(model) });

/** Most events that are read back at once. */
const maxRecentEvents = 10_000;

/** Makes a client of an open link and view, which it owns from then on. */
export function createClient(
  link: NatsLink,
  view: RoutingView,
  { deadlineMs, traceShare }: Pick<InferContext, 'deadlineMs' | 'traceShare'>,
): TroupeClient {
  const closing = new AbortController();
  // As many listeners as calls wait; the limit is there to find leaks, and would warn about each busy moment.
  setMaxListeners(0, closing.signal);
  const submitter = createWorkSubmitter(link);
  const artifacts = createArtifactStore(link);
  const routes = createModelRoutes(view, whileOpen);
  let closed: Promise<void> | undefined;

  /** Settles as the work does, or rejects with `client.closed` once the client closes. */
  function whileOpen<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(closedError());
      if (closing.signal.aborted) stop();
      else closing.signal.addEventListener('abort', stop, { once: true });
      work
        .then(resolve, (error: unknown) => reject(asTroupeError(error, 'nats.failed')))
        .finally(() => closing.signal.removeEventListener('abort', stop));
    });
  }

  async function call(
    noun: string,
    verb: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs?: number,
  ): Promise<unknown> {
    assertOpen();
    return whileOpen(callAdmin(link, noun, verb, args, timeoutMs === undefined ? {} : { timeoutMs }));
  }

  function assertOpen(): void {
    if (closing.signal.aborted) throw closedError();
  }

  async function closeAll(): Promise<void> {
    closing.abort();
    submitter.close();
    await endWithin(view.close(), viewCloseBoundMs);
    await link.close();
  }

  function close(): Promise<void> {
    closed ??= closeAll();
    return closed;
  }

  // A connection that ends for good (credentials withdrawn) takes the client with it.
  void link.closed.then(() => close()).catch(() => undefined);

  const context: InferContext = { routes, submitter, deadlineMs, traceShare, assertOpen };
  const client: TroupeClient = {
    servers: link.servers,
    namespace: link.subjects.namespace,
    closed: link.closed,
    get openRequests() {
      return submitter.openCount;
    },
    infer: (model, inputs, options = noInferOptions) => inferOnce(context, model, inputs, options),
    async registerModel(options) {
      assertOpen();
      return registerModel(
        { view, artifacts, call, maxPayloadBytes: () => link.maxPayloadBytes(), whileOpen },
        options,
      );
    },
    async recordGolden(model, options) {
      assertOpen();
      return recordGolden(client, parseModelName(model), options);
    },
    async models() {
      return parseModels(await call('models', 'list'));
    },
    async model(name) {
      return parseModel(await call('models', 'show', { model: parseModelName(name) }));
    },
    async label(model, label, version) {
      const target = version === null ? null : parseVersion(version);
      await call('models', 'label', {
        model: parseModelName(model),
        label: parseLabel(label),
        version: target,
      });
    },
    async deleteModel(model, version) {
      const target = version === undefined ? {} : { version: parseVersion(version) };
      await call('models', 'delete', { model: parseModelName(model), ...target });
    },
    async setResidency(model, residency, { idleMs } = {}) {
      await call('models', 'residency', {
        model: parseModelName(model),
        residency,
        ...(idleMs === undefined ? {} : { idleMs }),
      });
    },
    async retryModel(model, version) {
      await call('models', 'retry', { model: parseModelName(model), version: parseVersion(version) });
    },
    async startRollout(model, version, options = {}) {
      const args = { ...rolloutArguments(options), ...ofModel(model), version: parseVersion(version) };
      return parseRolloutStatus(await call('rollout', 'start', args, rolloutStartTimeoutMs));
    },
    async rollout(model) {
      return parseRolloutStatus(await call('rollout', 'status', ofModel(model)));
    },
    async pauseRollout(model) {
      return parseRolloutStatus(await call('rollout', 'pause', ofModel(model)));
    },
    async resumeRollout(model) {
      return parseRolloutStatus(await call('rollout', 'resume', ofModel(model)));
    },
    async abortRollout(model) {
      return parseRolloutStatus(await call('rollout', 'abort', ofModel(model)));
    },
    async rollback(model, { to } = {}) {
      const target = to === undefined ? {} : { to: parseVersion(to) };
      return parseRolloutStatus(await call('rollout', 'rollback', { ...ofModel(model), ...target }));
    },
    async doctor() {
      assertOpen();
      return whileOpen(examineLink(link, link.servers));
    },
    async hosts() {
      return parseHosts(await call('hosts', 'list'));
    },
    async workers() {
      return parseWorkers(await call('workers', 'list'));
    },
    async scale(host, slots) {
      if (!Number.isInteger(slots) || slots < 0) {
        throw new TroupeError(
          'request.arguments',
          `slots is ${describe(slots)}: a whole number from 0 on is wanted`,
        );
      }
      await call('hosts', 'scale', { host: parseHostName(host), slots });
    },
    async deadLetters({ count, model } = {}) {
      const answer = await call('dead', 'list', {
        ...(count === undefined ? {} : { count }),
        ...(model === undefined ? {} : { model: parseModelName(model) }),
      });
      return parseDeadLetters(answer);
    },
    async replayDeadLetter(sequence) {
      return parseDeadLetterRef(await call('dead', 'replay', { sequence }), 'dead.replay');
    },
    async dropDeadLetter(sequence) {
      return parseDeadLetterRef(await call('dead', 'drop', { sequence }), 'dead.drop');
    },
    events(options = {}) {
      assertOpen();
      return createEventFeed((listener) => watchEvents(link, 'all', listener), closing.signal, options);
    },
    onEvent(listener, options = {}) {
      assertOpen();
      const matches = matcherOf(options.kinds);
      return watchEvents(link, 'all', (event) => {
        if (matches(event)) listener(event);
      });
    },
    async recentEvents(count) {
      assertOpen();
      if (!Number.isInteger(count) || count < 1 || count > maxRecentEvents) {
        throw new TroupeError(
          'request.arguments',
          `count is ${describe(count)}: a whole number from 1 to ${maxRecentEvents} is wanted`,
        );
      }
      return whileOpen(recentEvents(link, count));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  return client;
}

/** Awaits work, but no longer than this. */
async function endWithin(work: Promise<void>, boundMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, boundMs);
  });
  await Promise.race([work, bound]);
  clearTimeout(timer);
}

function closedError(): TroupeError {
  return new TroupeError('client.closed', 'the client was closed');
}
