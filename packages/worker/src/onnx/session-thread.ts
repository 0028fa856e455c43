/**
 * Entry of the session thread: holds the session of a runner, loads it, runs what the main thread sends, one after
 * the other. Loading and running block this thread to the end and cannot be stopped: whoever loses patience kills
 * the process. Never terminated while it runs (that aborts the process); it ends by itself after `release`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { asTroupeError, encodeError, parseDevice, type Tensor } from '@troupe/shared';
import { reusableBytes } from './buffer-pool.js';
import { type OnnxSession, openSession } from './onnx-session.js';
import {
  answerBytes,
  buffersOf,
  type SessionOrder,
  type SessionReport,
  type SessionThreadSource,
} from './session-messages.js';

const port = parentPort;
if (port === null) throw new Error('session-thread runs as a worker thread only');

const report = (message: SessionReport, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

/** Runs in order: the runtime would take several at once, and finish none of them sooner. */
let queue: Promise<void> = Promise.resolve();
let session: OnnxSession | undefined;

async function load(source: SessionThreadSource): Promise<void> {
  const startedAt = performance.now();
  try {
    const opened = await openSession({ ...source, device: parseDevice(source.device) }, 'model.load_failed');
    session = opened;
    report({ kind: 'loaded', signature: opened.model.signature, loadMs: performance.now() - startedAt });
  } catch (thrown) {
    report({ kind: 'load_failed', error: encodeError(asTroupeError(thrown, 'model.load_failed')) });
    port?.close();
  }
}

async function run(order: Extract<SessionOrder, { kind: 'run' }>): Promise<void> {
  const { id } = order;
  try {
    if (session === undefined) throw new Error('the session is not loaded');
    const startedAt = performance.now();
    const outputs = await session.run(order.inputs, order.outputNames);
    const runMs = performance.now() - startedAt;
    const bytes = answerBytes(outputs, order.json);
    if (bytes > order.limitBytes) report({ kind: 'too_large', id, bytes });
    else {
      const whole = outputs.map(ownBuffer);
      const results = buffersOf(whole);
      const spent = buffersOf(order.inputs).filter(
        (buffer) => buffer.byteLength >= reusableBytes && !results.includes(buffer),
      );
      report({ kind: 'ran', id, outputs: whole, runMs, spent }, [...results, ...spent]);
    }
  } catch (thrown) {
    report({ kind: 'failed', id, error: encodeError(asTroupeError(thrown, 'model.run_failed')) });
  }
}

/** A tensor that fills its buffer: a view would take along, or lose to another, what lies beside it. */
function ownBuffer(tensor: Tensor): Tensor {
  const { data } = tensor;
  if (!(data instanceof Uint8Array) || data.byteLength === data.buffer.byteLength) return tensor;
  return { ...tensor, data: new Uint8Array(data) };
}

async function release(): Promise<void> {
  await session?.release();
  session = undefined;
  report({ kind: 'released' });
  port?.close();
}

port.on('message', (order: SessionOrder) => {
  queue = queue.then(() => (order.kind === 'run' ? run(order) : release()));
});
queue = load(workerData as SessionThreadSource);
