/**
 * Entry of the trial process: tries one model file that nobody has reason to trust, tells what it found, and ends.
 * It may hang, abort or eat memory; its caller (trial.ts) holds the clock and the whip.
 */
import { readFile } from 'node:fs/promises';
import {
  asTroupeError,
  type BatchSettings,
  defaults,
  encodeError,
  parseDevice,
  quoteName,
  TroupeError,
} from '@troupe/shared';
import { findModelFaults, scanModel } from '@troupe/shared/onnx';
import { type BatchVerdict, fullBatchMs, rowsWithin, tryBatching } from './batch-trial.js';
import { entryUrl, startThread } from './entry-file.js';
import { runGoldenCases } from './golden-run.js';
import { type OnnxSession, openSession } from './onnx-session.js';
import type { ParentWatchSource } from './parent-watch.js';
import { readMemoryBytes } from './process-memory.js';
import { makeInputs } from './trial-data.js';
import {
  madeUpRunFault,
  type TrialOrder,
  type TrialPassed,
  type TrialReport,
  type TrialStep,
} from './trial-messages.js';

/** Sizes tried for variable dimensions other than the first: small ones first, pictures last. */
const otherwiseSizes = [2, 8, 32, 224] as const;
/** A file beyond this is not scanned (Node reads no more at once): the runtime alone judges it. */
const scanLimitBytes = 2 ** 31 - 1;

function send(report: TrialReport): void {
  process.send?.(report);
}

/** Tells a step, and waits until it is on its way: the next moment may be the last one. */
function step(phase: TrialStep['phase'], what: string): Promise<void> {
  return new Promise((resolve) => {
    process.send?.({ kind: 'step', phase, what } satisfies TrialStep, () => resolve());
  });
}

async function assertNoFaults(modelPath: string): Promise<void> {
  const bytes = await readFile(modelPath).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ERR_FS_FILE_TOO_LARGE') return undefined;
    throw new TroupeError('artifact.missing', `the model file cannot be read: ${thrown.message}`, {
      cause: thrown,
    });
  });
  if (bytes === undefined || bytes.byteLength > scanLimitBytes) return;
  // One file is all that a version has, so external data is refused wherever it points.
  const [fault] = findModelFaults(scanModel(bytes), new Map());
  if (fault !== undefined) throw new TroupeError(fault.reason, fault.message);
}

/** Finds sizes that the model runs with; the words of its last refusal where there are none. */
async function findSize(session: OnnxSession): Promise<number | string> {
  const { signature, inputDims } = session.model;
  const names = signature.outputs.map(({ name }) => name);
  const isSized = inputDims.every((dims) =>
    dims?.every((dim, axis) => axis === 0 || typeof dim === 'number'),
  );
  let refusal = '';
  for (const otherwise of isSized ? otherwiseSizes.slice(0, 1) : otherwiseSizes) {
    await step('made_up', 'the first run');
    try {
      await session.run(makeInputs(signature.inputs, inputDims, { rows: 1, otherwise }, 1), names);
      return otherwise;
    } catch (thrown) {
      // The model may need particular values, which made-up ones are not: no fault, but no proof either.
      refusal = asTroupeError(thrown).message;
    }
  }
  return refusal;
}

async function tryMadeUpRuns(session: OnnxSession, order: TrialOrder): Promise<BatchVerdict> {
  if (order.withoutMadeUpRuns !== undefined) {
    return { batchable: false, reason: `${madeUpRunFault} ${order.withoutMadeUpRuns}` };
  }
  const size = await findSize(session);
  if (typeof size === 'string') return { batchable: false, reason: `${madeUpRunFault} failed: ${size}` };
  const run: OnnxSession['run'] = async (inputs, names) => {
    await step('made_up', 'a run of the batching trial');
    return session.run(inputs, names);
  };
  const maxRows = order.batching.maxBatchSize ?? defaults.maxBatchSize;
  return tryBatching(session.model, run, {
    otherwise: size,
    maxRows: Math.min(maxRows, defaults.maxBatchSize),
  });
}

function settleBatching(wanted: Partial<BatchSettings>, verdict: BatchVerdict): BatchSettings {
  const maxDelayMs = wanted.maxDelayMs ?? 0;
  if (verdict.batchable) {
    // Rows that nobody asked for must not make a batch outlast the deadlines of those in it.
    const rows = Math.min(defaults.maxBatchSize, rowsWithin(fullBatchMs, verdict.rowMs));
    return { maxBatchSize: wanted.maxBatchSize ?? rows, maxDelayMs };
  }
  if (wanted.maxBatchSize !== undefined && wanted.maxBatchSize > 1) {
    throw new TroupeError(
      'model.not_batchable',
      `maxBatchSize ${wanted.maxBatchSize} cannot be had, requests for this model must not be merged: ${verdict.reason}`,
    );
  }
  return { maxBatchSize: 1, maxDelayMs };
}

async function tryModel(order: TrialOrder): Promise<TrialPassed> {
  await step('load', 'reading the model');
  await assertNoFaults(order.modelPath);
  await step('load', 'loading the model');
  const session = await openSession(
    {
      modelPath: order.modelPath,
      device: parseDevice(order.device),
      intraOpThreads: order.intraOpThreads,
    },
    'model.trial_failed',
  );
  const { signature } = session.model;
  const verdict = await tryMadeUpRuns(session, order);
  const batching = settleBatching(order.batching, verdict);
  await step('golden', 'the golden cases');
  await runGoldenCases(signature, order.golden, session.run, (name) =>
    send({ kind: 'step', phase: 'golden', what: `golden case ${quoteName(name)}` }),
  );
  const memoryBytes = await readMemoryBytes(process.pid);
  await step('end', 'releasing the model');
  await session.release();
  return {
    kind: 'passed',
    signature,
    batchable: verdict.batchable,
    ...(verdict.batchable ? {} : { batchableReason: verdict.reason }),
    batching,
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
}

process.once('message', (order: TrialOrder) => {
  startThread(entryUrl(import.meta.url, 'parent-watch'), {
    workerData: { parentPid: order.parentPid } satisfies ParentWatchSource,
  }).unref();
  tryModel(order)
    .catch(
      (thrown: unknown): TrialReport => ({
        kind: 'refused',
        error: encodeError(asTroupeError(thrown, 'model.trial_failed')),
      }),
    )
    .then((report) => {
      // With the channel closed nothing keeps the process, which ends by itself.
      process.send?.(report, () => process.disconnect());
    })
    .catch(() => undefined); // the caller is gone, and with it the channel
});
