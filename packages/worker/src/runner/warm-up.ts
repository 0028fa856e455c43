/**
 * A model's first runs, before it may serve: they make the runtime allocate and compile what it does on first use,
 * and show on this very device that the golden cases come out right.
 */
import {
  decodeGoldenCase,
  type GoldenCase,
  type ModelVersion,
  quoteName,
  type Tensor,
  TroupeError,
} from '@troupe/shared';
import { runGoldenCases } from '../onnx/golden-run.js';
import type { ModelSession } from '../onnx/session-client.js';
import { makeInputs } from '../onnx/trial-data.js';
import { madeUpRunFault } from '../onnx/trial-messages.js';
import { assembleInputs, describeRows } from './batch-assembly.js';
import type { BatchPace } from './batch-pace.js';
import { hasOnlyFinite, hasSomeFinite } from './finite-outputs.js';

const noLimit = { limitBytes: Number.POSITIVE_INFINITY, json: false } as const;

/** Made-up inputs for a candidate without a finite output: some models are defined on a part of them only. */
const furtherTries = 8;

/** What is spent on finding out how many rows are enough for a run, in milliseconds. */
const paceBudgetMs = 200;
/** Runs of each size: the first is often slow. */
const paceRounds = 3;

/**
 * Resolves with what the first run of one row took, in milliseconds; `undefined` where the model refuses made-up data.
 * Throws `model.golden`. A model that refuses made-up data is no worse for it; but a candidate (a rollout of it is under
 * way) one of whose outputs holds nothing but NaN and infinities whatever it is given must not serve, unless a golden case expects just that.
 */
export async function warmUp(
  session: Pick<ModelSession, 'run'>,
  version: ModelVersion,
  isCandidate = false,
  pace?: BatchPace,
): Promise<number | undefined> {
  const { signature } = version;
  const run = async (inputs: readonly Tensor[], names: readonly string[]): Promise<readonly Tensor[]> => {
    const outcome = await session.run(inputs, names, noLimit);
    if (outcome.kind === 'ran') return outcome.outputs;
    throw outcome.kind === 'failed'
      ? outcome.error
      : new TroupeError('answer.too_large', `the outputs have ${outcome.bytes} bytes`);
  };
  const golden: readonly GoldenCase[] = version.golden;
  /** Outputs that have not held a finite number yet. */
  let barren: ReadonlySet<string> = new Set(signature.outputs.map(({ name }) => name));
  let ran = 0;
  let rowMs: number | undefined;
  if (version.batchableReason?.startsWith(madeUpRunFault) !== true) {
    const dims = signature.inputs.map(({ shape }) => shape?.map((dim) => (dim < 0 ? '' : dim)));
    const names = signature.outputs.map(({ name }) => name);
    const tryRows = async (rows: number, seed: number) => {
      const inputs = makeInputs(signature.inputs, dims, { rows, otherwise: 2 }, seed);
      const outcome = await session.run(inputs, names, noLimit);
      if (outcome.kind !== 'ran') return;
      ran += 1;
      if (rows === 1) rowMs ??= outcome.runMs;
      const key = describeRows(inputs, names, rows)?.key;
      if (key !== undefined && outcome.runMs !== undefined) pace?.learn(key, rows, outcome.runMs);
      const fine = new Set(outcome.outputs.filter(hasSomeFinite).map(({ name }) => name));
      barren = new Set([...barren].filter((name) => !fine.has(name)));
    };
    for (const rows of version.batchable ? [1, version.batching.maxBatchSize] : [1]) await tryRows(rows, 1);
    for (let seed = 2; isCandidate && ran > 0 && barren.size > 0 && seed < 2 + furtherTries; seed += 1) {
      await tryRows(1, seed);
    }
    const row = makeInputs(signature.inputs, dims, { rows: 1, otherwise: 2 }, 1);
    const key = describeRows(row, names, 1)?.key;
    if (pace !== undefined && key !== undefined && ran > 0) await learnPace(session, row, names, key, pace);
  }
  await runGoldenCases(signature, golden, run);
  if (isCandidate && ran > 0 && barren.size > 0 && !golden.some(expectsNonFinite)) {
    const [name = ''] = barren;
    throw new TroupeError(
      'model.golden',
      `its output ${quoteName(name)} is NaN or infinite throughout, for all made-up inputs`,
    );
  }
  return rowMs;
}

/** Runs one row many times over, in every size for which there is time. */
async function learnPace(
  session: Pick<ModelSession, 'run'>,
  row: readonly Tensor[],
  outputNames: readonly string[],
  key: string,
  pace: BatchPace,
): Promise<void> {
  const endsAtMs = performance.now() + paceBudgetMs;
  for (let round = 0; round < paceRounds; round += 1) {
    for (const rows of pace.sizes) {
      if (performance.now() + pace.expectedMs(key, rows) > endsAtMs) continue;
      const inputs = assembleInputs(Array.from({ length: rows }, () => row));
      const outcome = await session.run(inputs, outputNames, noLimit);
      if (outcome.kind !== 'ran' || outcome.runMs === undefined) return;
      pace.learn(key, rows, outcome.runMs);
    }
  }
}

function expectsNonFinite(stored: GoldenCase): boolean {
  return !hasOnlyFinite(decodeGoldenCase(stored).outputs);
}
