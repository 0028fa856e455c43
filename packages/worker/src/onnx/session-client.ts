/**
 * The main thread's side of the session thread: the narrow door through which a runner loads, runs and releases a
 * model. Knows nothing of requests and batches.
 */
import type { Worker } from 'node:worker_threads';
import { decodeError, type Signature, type Tensor, TroupeError } from '@troupe/shared';
import { BufferPool } from './buffer-pool.js';
import { createDeferred } from './deferred.js';
import { entryUrl, startThread } from './entry-file.js';
import {
  buffersOf,
  type SessionOrder,
  type SessionReport,
  type SessionThreadSource,
} from './session-messages.js';

/** How a run ended. */
export type RunOutcome =
  /** `runMs`: the run alone, without the way to the thread and back; absent where it was not measured. */
  | { readonly kind: 'ran'; readonly outputs: readonly Tensor[]; readonly runMs?: number }
  | { readonly kind: 'too_large'; readonly bytes: number }
  | { readonly kind: 'failed'; readonly error: TroupeError };

/** What a run may give back; see `SessionOrder`. */
export interface RunLimit {
  readonly limitBytes: number;
  readonly json: boolean;
}

/** A model on a thread of its own. */
export interface ModelSession {
  /** Rejects with `model.load_failed` and the like; the thread has ended then. */
  readonly loaded: Promise<{ readonly signature: Signature; readonly loadMs: number }>;
  /** Queues a run. The inputs' buffers are given away. Never rejects. */
  run(inputs: readonly Tensor[], outputNames: readonly string[], limit: RunLimit): Promise<RunOutcome>;
  /** What all runs so far took, in milliseconds. */
  readonly ranMs: number;
  /** Memory for the inputs of a run, of exactly so many bytes; all of it has to be written. */
  takeBuffer(bytes: number): Uint8Array;
  /** Releases the session after the runs that are queued; resolves when the thread has ended. Idempotent. */
  release(): Promise<void>;
  /** Resolves when the thread ended without being asked to. The process is of no use then. */
  readonly lost: Promise<Error>;
}

/** What a model is run by. */
export type SessionRuns = Pick<ModelSession, 'run'> & Partial<Pick<ModelSession, 'takeBuffer'>>;

/** Starts a thread that loads the model. */
export function startSession(source: SessionThreadSource): ModelSession {
  const thread = startThread(entryUrl(import.meta.url, 'session-thread'), { workerData: source });
  return connectSession(thread);
}

function connectSession(thread: Worker): ModelSession {
  /** At most a few; a Map would keep what has passed through it (`SlotTable`). */
  let open: { readonly id: number; readonly resolve: (outcome: RunOutcome) => void }[] = [];
  const pool = new BufferPool();
  let nextId = 1;
  let ranMs = 0;
  let released = false;
  let ended = false;
  const loaded = createDeferred<{ signature: Signature; loadMs: number }>();
  const lost = createDeferred<Error>();
  const gone = createDeferred<void>();
  // Awaited by the owner of the session; a rejection before it does must not end the process.
  loaded.promise.catch(() => undefined);

  function settle(id: number, outcome: RunOutcome): void {
    const run = open.find((one) => one.id === id);
    open = open.filter((one) => one !== run);
    run?.resolve(outcome);
  }

  function end(cause: Error): void {
    if (ended) return;
    ended = true;
    const error = new TroupeError('runner.lost', `the session thread ended: ${cause.message}`, { cause });
    loaded.reject(error);
    for (const { id } of open) settle(id, { kind: 'failed', error });
    if (!released) lost.resolve(error);
    gone.resolve();
  }

  thread.on('message', (message: SessionReport) => {
    switch (message.kind) {
      case 'loaded':
        loaded.resolve({ signature: message.signature, loadMs: message.loadMs });
        return;
      case 'load_failed':
        released = true;
        loaded.reject(decodeError(message.error));
        return;
      case 'ran':
        pool.give(message.spent);
        ranMs += message.runMs;
        settle(message.id, { kind: 'ran', outputs: message.outputs, runMs: message.runMs });
        return;
      case 'too_large':
        settle(message.id, { kind: 'too_large', bytes: message.bytes });
        return;
      case 'failed':
        settle(message.id, { kind: 'failed', error: decodeError(message.error) });
        return;
      case 'released':
        return;
    }
  });
  thread.on('error', (thrown: unknown) => end(thrown instanceof Error ? thrown : new Error(String(thrown))));
  thread.on('exit', (code) => end(new Error(`exit code ${code}`)));

  const send = (order: SessionOrder, transfer: ArrayBuffer[] = []) => thread.postMessage(order, transfer);
  return {
    loaded: loaded.promise,
    lost: lost.promise,
    run(inputs, outputNames, { limitBytes, json }) {
      const { promise, resolve } = createDeferred<RunOutcome>();
      if (ended || released) {
        resolve({ kind: 'failed', error: new TroupeError('runner.lost', 'the session was released') });
        return promise;
      }
      const id = nextId;
      nextId += 1;
      open.push({ id, resolve });
      send({ kind: 'run', id, inputs, outputNames, limitBytes, json }, buffersOf(inputs));
      return promise;
    },
    get ranMs() {
      return ranMs;
    },
    takeBuffer: (bytes) => pool.take(bytes),
    release() {
      if (!released) {
        released = true;
        if (!ended) send({ kind: 'release' });
      }
      return gone.promise;
    },
  };
}
