/**
 * The sending side of the work lane, used by the client SDK and by the ingress: publishes requests, matches the
 * PubAck and the answer on one muxed inbox, repeats what may be lost, and keeps the deadlines.
 *
 * Invariants
 * S1  Every submit settles exactly once: by an answer, a refusal, its deadline, its signal, or close().
 * S2  A request is published again, under the same request id, after every reconnect, when its queue was declared anew,
 *     and whenever no PubAck came within `pubAckWaitMs`, until it settles: a PubAck of a broker that lost its memory is
 *     worth nothing.
 * S3  When a runner of its version has died, a request that is still unanswered a moment later is published again,
 *     once: what was in the dead process's socket would wait for `ack_wait`. What its host gave back is left out: the
 *     event names it. A request that was published more than once is cancelled when its answer came.
 * S4  Whatever settles a request removes it from the table; late messages for it are ignored. (The one exception:
 *     a cancelled request lingers until its PubAck came, at most `pubAckWaitMs`, to learn its stream sequence.)
 * S5  One timer for all requests, and none while the table is empty.
 */
import { createInbox, type Msg, type Subscription } from 'nats';
import { SlotTable } from '../collections/slot-table.js';
import { defaults } from '../config/defaults.js';
import { TroupeError } from '../errors/troupe-error.js';
import { EventKind } from '../names/events.js';
import { Header } from '../names/headers.js';
import { defaultPriority, type Priority } from '../names/subjects.js';
import type { WireMessage } from '../protocol/infer-message.js';
import { publishCancel } from './cancel.js';
import { createDemandSender } from './demand.js';
import { watchEvents } from './events.js';
import { createFramePublisher } from './frames.js';
import { JetStreamCode } from './jetstream-error.js';
import type { NatsLink } from './nats-link.js';
import { decodeAnswer, headerBlock, headerLine } from './wire-headers.js';

/** One request for the work lane. */
export interface WorkRequest {
  readonly model: string;
  readonly version: number;
  readonly priority?: Priority;
  readonly message: WireMessage;
  /** The same on every repeat. */
  readonly requestId: string;
  /** From now, in milliseconds. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** The version is not in memory: it is asked for, beside waiting in its queue. */
  readonly demand?: boolean;
  /** The caller pinned the version: no other may answer. */
  readonly pinned?: boolean;
  readonly sticky?: string;
  readonly traceparent?: string;
  /** Where the answer goes instead of here (the ingress: its caller's own inbox); submit resolves with `undefined`. */
  readonly answerTo?: string;
}

/** The sending side of the work lane. */
export interface WorkSubmitter {
  /**
   * Sends a request and resolves with its answer; `undefined` where the answer went to `answerTo`.
   * Rejects with what the answer carries, or `queue.full`, `request.deadline`, `request.cancelled`,
   * `request.too_large`, `client.closed`.
   */
  submit(work: WorkRequest): Promise<WireMessage | undefined>;
  /**
   * The same, resolving with what `read` makes of the answer, or rejecting with what it throws: one promise for each
   * request. Where a process traces, Node before 24 tells `AsyncLocalStorage` of every one, and of every `await`.
   * `read` copies what is to stay: the answer's memory is used again.
   */
  submitFor<T>(work: WorkRequest, read: (answer: WireMessage | undefined) => T): Promise<T>;
  /** Memory for the payload of one request; used again once it was answered. */
  takeMemory(this: void, bytes: number): Uint8Array;
  /** Requests in the table, lingering cancelled ones included. */
  readonly openCount: number;
  /** Rejects what is open with `client.closed` and unsubscribes. */
  close(): void;
}

export interface WorkSubmitterOptions {
  /** Requests that may be open at once; more are refused with `queue.full`. Default 20,000. */
  readonly maxOpen?: number;
}

interface OpenRequest {
  readonly id: string;
  /** Rises with each request. */
  readonly order: number;
  readonly work: WorkRequest;
  readonly subject: string;
  readonly deadlineAt: number;
  /** May throw what the answer's reader throws. */
  readonly resolve: (answer: WireMessage | undefined) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: (() => void) | undefined;
  attempts: number;
  /** When to publish again unless a PubAck comes; infinite once it came. */
  repeatAt: number;
  accepted: boolean;
  /** Published again because a runner died: once is enough, or a request that kills its runners would multiply. */
  hinted: boolean;
  /** Of its copies in the model's stream, those that were confirmed. */
  streamSequences: number[];
  /** Settled by its signal; waits for the PubAck only. */
  lingering: boolean;
}

/** Rough cost of the headers that we set, on top of the payload. */
const headerAllowanceBytes = 1_024;
/** Retry of a publish that found no stream: a broker that starts, until runners have declared it again. */
const noStreamRetryMs = 100;
/** After a runner's death: what its host gave back is answered by then, mostly. */
const afterDeathMs = 60;
/** Deadlines are checked no more often than this. */
const sweepResolutionMs = 5;

/** Creates the sending side on a link; one for each process is enough. */
export function createWorkSubmitter(link: NatsLink, options: WorkSubmitterOptions = {}): WorkSubmitter {
  const maxOpen = options.maxOpen ?? 20_000;
  const inbox = createInbox();
  const frames = createFramePublisher(link.connection);
  const open = new SlotTable<OpenRequest>();
  const demand = createDemandSender(link);
  let asked = 0;
  let closed = false;
  let sweepTimer: NodeJS.Timeout | undefined;
  let sweepAt = Number.POSITIVE_INFINITY;

  const subscription: Subscription = link.connection.subscribe(`${inbox}.*.*`, {
    callback: (error, msg) => {
      if (error === null) receive(msg);
    },
  });
  const deaths = watchEvents(link, [EventKind.RunnerDied], ({ data }) => {
    const handedBack = new Set(Array.isArray(data.handedBackSequences) ? data.handedBackSequences : []);
    for (const request of open.values()) {
      const { model, version } = request.work;
      if (request.hinted || request.lingering || model !== data.model || version !== data.version) continue;
      // Its host knew of it: it is on its way to another runner.
      if (request.streamSequences.some((sequence) => handedBack.has(sequence))) continue;
      request.hinted = true;
      schedule(request, Math.min(afterDeathMs, request.repeatAt - performance.now()));
    }
  });
  const resets = watchEvents(link, [EventKind.QueueReset], ({ data }) => {
    for (const request of inOrder()) if (request.work.model === data.model) startAgain(request);
  });
  const stopWatching = link.onReconnect(() => {
    for (const request of inOrder()) startAgain(request);
  });

  function inOrder(): OpenRequest[] {
    return [...open.values()].sort((left, right) => left.order - right.order);
  }

  /** Publishes what a broker has forgotten. */
  function startAgain(request: OpenRequest): void {
    // Sequences of before may be other requests' by now.
    request.streamSequences = [];
    if (!request.lingering) publish(request);
  }

  /** The other copies of an answered request, queued or held, are of no use any more. */
  function withdrawRepeats(request: OpenRequest): void {
    if (request.attempts > 1) sendCancel(request);
  }

  function remove(request: OpenRequest): void {
    open.delete(request.id);
    if (request.onAbort !== undefined) request.work.signal?.removeEventListener('abort', request.onAbort);
    if (open.size === 0) disarm();
  }

  function settleWith(request: OpenRequest, error: TroupeError): void {
    remove(request);
    request.reject(error);
  }

  function receive(msg: Msg): void {
    const kind = msg.subject.charAt(inbox.length + 1);
    const request = open.get(msg.subject.slice(inbox.length + 3));
    if (request === undefined) return;
    if (kind === 'a') receivePubAck(request, msg);
    else if (!request.lingering) receiveAnswer(request, msg);
  }

  function receiveAnswer(request: OpenRequest, msg: Msg): void {
    withdrawRepeats(request);
    remove(request);
    // It was read to its end by the server; a copy may still wait to be written.
    if (request.attempts === 1) link.memory.giveBack(request.work.message.payload);
    try {
      const answer = request.work.answerTo === undefined ? decodeAnswer(msg) : undefined;
      if (answer instanceof TroupeError) request.reject(answer);
      else {
        request.resolve(answer);
        if (answer !== undefined) link.memory.giveBack(answer.payload);
      }
    } catch (thrown) {
      request.reject(thrown);
    }
  }

  function receivePubAck(request: OpenRequest, msg: Msg): void {
    if (msg.data.length === 0) {
      // 503: nobody captures the subject. The runners declare the stream again; until then we try.
      if (request.lingering) remove(request);
      else schedule(request, noStreamRetryMs);
      return;
    }
    const ack = parsePubAck(msg.data);
    if (ack.sequence !== undefined) {
      request.accepted = true;
      request.streamSequences.push(ack.sequence);
      request.repeatAt = Number.POSITIVE_INFINITY;
      if (request.lingering) {
        remove(request);
        sendCancel(request);
      }
      return;
    }
    if (request.lingering) {
      remove(request);
    } else if (
      ack.code === JetStreamCode.StreamStoreFailed ||
      ack.code === JetStreamCode.InsufficientResources
    ) {
      // A repeat that finds the queue full says nothing of the original, which was accepted and may be running.
      if (request.accepted) schedule(request, defaults.pubAckWaitMs);
      else settleWith(request, queueFull(request.work, ack.description));
    } else {
      schedule(request, noStreamRetryMs);
    }
  }

  function schedule(request: OpenRequest, inMs: number): void {
    request.repeatAt = performance.now() + inMs;
    arm(request.repeatAt);
  }

  function publish(request: OpenRequest): void {
    const now = performance.now();
    const budgetMs = Math.floor(request.deadlineAt - now);
    if (budgetMs <= 0) return;
    // While disconnected the library drops what is published; onReconnect publishes then.
    schedule(request, defaults.pubAckWaitMs);
    if (!link.isConnected()) return;
    if (request.work.demand === true) demand.ask(request.work.model, request.work.version);
    request.attempts += 1;
    try {
      frames.publish({
        subject: request.subject,
        reply: `${inbox}.a.${request.id}`,
        headers: workHeaders(request, budgetMs),
        payload: request.work.message.payload,
      });
    } catch (error) {
      // Closed for good, or a payload limit that shrank with a reconnect.
      settleWith(
        request,
        new TroupeError('nats.failed', `the request could not be sent: ${String(error)}`, { cause: error }),
      );
    }
  }

  function workHeaders(request: OpenRequest, budgetMs: number): string {
    const { work } = request;
    const own = `${inbox}.r.${request.id}`;
    let lines = headerLine(Header.Reply, work.answerTo ?? own);
    if (work.answerTo !== undefined) lines += headerLine(Header.Done, own);
    lines += headerLine(Header.BudgetMs, budgetMs) + headerLine(Header.RequestId, work.requestId);
    if (work.message.jsonLength !== undefined)
      lines += headerLine(Header.InferenceLength, work.message.jsonLength);
    if (work.pinned === true) lines += headerLine(Header.Pinned, '1');
    if (work.sticky !== undefined) lines += headerLine(Header.Sticky, work.sticky);
    if (work.traceparent !== undefined) lines += headerLine(Header.TraceParent, work.traceparent);
    if (request.attempts > 1) lines += headerLine(Header.Attempt, request.attempts);
    return headerBlock(lines);
  }

  function sendCancel(request: OpenRequest): void {
    const { model, version, requestId, answerTo } = request.work;
    const cancel = { id: requestId, replyTo: answerTo ?? `${inbox}.r.${request.id}` };
    const copies = request.streamSequences.map((streamSequence) => ({ ...cancel, streamSequence }));
    for (const copy of copies.length > 0 ? copies : [cancel]) publishCancel(link, model, version, copy);
  }

  function abort(request: OpenRequest): void {
    if (request.lingering || open.get(request.id) === undefined) return;
    request.reject(cancelled());
    if (request.accepted || !link.isConnected()) {
      remove(request);
      sendCancel(request);
    } else {
      request.lingering = true;
      schedule(request, defaults.pubAckWaitMs);
    }
  }

  function arm(at: number): void {
    if (at >= sweepAt) return;
    disarm();
    sweepAt = at;
    sweepTimer = setTimeout(sweep, Math.max(sweepResolutionMs, at - performance.now()));
  }

  function disarm(): void {
    clearTimeout(sweepTimer);
    sweepTimer = undefined;
    sweepAt = Number.POSITIVE_INFINITY;
  }

  function sweep(): void {
    disarm();
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const request of open.values()) {
      if (request.lingering) {
        if (request.repeatAt <= now) {
          remove(request);
          sendCancel(request);
          continue;
        }
      } else if (request.deadlineAt <= now) {
        settleWith(request, deadlineExceeded(request.work));
        continue;
      } else if (request.repeatAt <= now) {
        publish(request);
        if (open.get(request.id) === undefined) continue;
      }
      next = Math.min(next, request.repeatAt, request.lingering ? next : request.deadlineAt);
    }
    if (next !== Number.POSITIVE_INFINITY) arm(next);
  }

  function refuse(work: WorkRequest): TroupeError | undefined {
    if (closed) return new TroupeError('client.closed', 'the connection was closed');
    if (work.signal?.aborted === true) return cancelled();
    const limit = link.maxPayloadBytes();
    const size = work.message.payload.length + headerAllowanceBytes;
    if (size > limit) {
      return new TroupeError(
        'request.too_large',
        `the request has ${work.message.payload.length} bytes, the server takes ${limit} with about ${headerAllowanceBytes} for headers (max_payload)`,
      );
    }
    if (open.size >= maxOpen) {
      return new TroupeError('queue.full', `${maxOpen} requests are open in this process already`, {
        retryAfterMs: 100,
      });
    }
    return undefined;
  }

  function submitFor<T>(work: WorkRequest, read: (answer: WireMessage | undefined) => T): Promise<T> {
    const refusal = refuse(work);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      asked += 1;
      const onAbort = work.signal === undefined ? undefined : () => abort(request);
      const request: OpenRequest = {
        id: open.nextId(),
        order: asked,
        work,
        subject: link.subjects.work(work.model, work.version, work.priority ?? defaultPriority),
        deadlineAt: performance.now() + work.deadlineMs,
        resolve: (answer) => resolve(read(answer)),
        reject,
        onAbort,
        attempts: 0,
        repeatAt: Number.POSITIVE_INFINITY,
        accepted: false,
        hinted: false,
        streamSequences: [],
        lingering: false,
      };
      open.add(request);
      if (onAbort !== undefined) work.signal?.addEventListener('abort', onAbort, { once: true });
      arm(request.deadlineAt);
      publish(request);
    });
  }

  return {
    submit: (work) =>
      submitFor(work, (answer) => answer && { ...answer, payload: new Uint8Array(answer.payload) }),
    submitFor,
    takeMemory: (bytes) => link.memory.take(bytes),
    get openCount() {
      return open.size;
    },
    close() {
      if (closed) return;
      closed = true;
      deaths();
      resets();
      stopWatching();
      for (const request of open.values()) {
        // Nobody awaits the answer any more; one that goes to somebody else's inbox is still awaited there.
        if (request.work.answerTo === undefined) sendCancel(request);
        if (request.lingering) remove(request);
        else
          settleWith(
            request,
            new TroupeError('client.closed', 'the connection was closed before the answer came'),
          );
      }
      disarm();
      if (!link.connection.isClosed()) subscription.unsubscribe();
    },
  };
}

function parsePubAck(data: Uint8Array): { sequence?: number; code?: number; description: string } {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
  // The usual one is `{"stream":"…", "seq":123}`; names of streams hold no quotes.
  const usual = text.includes('"error"') ? null : /"seq":(\d{1,15})[,}]/.exec(text);
  if (usual !== null) return { sequence: Number(usual[1]), description: '' };
  try {
    const ack = JSON.parse(text) as {
      seq?: number;
      error?: { err_code?: number; description?: string };
    };
    if (ack.error === undefined && typeof ack.seq === 'number') return { sequence: ack.seq, description: '' };
    return { code: ack.error?.err_code ?? 0, description: ack.error?.description ?? 'unknown' };
  } catch {
    return { code: 0, description: 'the PubAck is not JSON' };
  }
}

function queueFull(work: WorkRequest, description: string): TroupeError {
  return new TroupeError(
    'queue.full',
    `the queue of model ${work.model} version ${work.version} is full (${description}): send less, or add workers`,
    { retryAfterMs: 250 },
  );
}

function deadlineExceeded(work: WorkRequest): TroupeError {
  return new TroupeError(
    'request.deadline',
    `no answer from model ${work.model} version ${work.version} within the deadline of ${work.deadlineMs} ms`,
  );
}

function cancelled(): TroupeError {
  return new TroupeError('request.cancelled', 'the request was cancelled by its caller');
}
