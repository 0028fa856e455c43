/**
 * A model's first runs, before it may serve: they make the runtime allocate and compile what it does on first use,
 * and show on this very device that the golden cases come out right.
 */
import { type GoldenCase, type ModelVersion, type Tensor, TroupeError } from '@troupe/shared';
import { runGoldenCases } from '../onnx/golden-run.js';
import type { ModelSession } from '../onnx/session-client.js';
import { makeInputs } from '../onnx/trial-data.js';
import { madeUpRunFault } from '../onnx/trial-messages.js';

const noLimit = { limitBytes: Number.POSITIVE_INFINITY, json: false } as const;

/** Throws `model.golden`. A model that refuses made-up data is no worse for it. */
export async function warmUp(session: ModelSession, version: ModelVersion): Promise<void> {
  const { signature } = version;
  const run = async (inputs: readonly Tensor[], names: readonly string[]): Promise<readonly Tensor[]> => {
    const outcome = await session.run(inputs, names, noLimit);
    if (outcome.kind === 'ran') return outcome.outputs;
    throw outcome.kind === 'failed'
      ? outcome.error
      : new TroupeError('answer.too_large', `the outputs have ${outcome.bytes} bytes`);
  };
  const golden: readonly GoldenCase[] = version.golden;
  if (version.batchableReason?.startsWith(madeUpRunFault) !== true) {
    const dims = signature.inputs.map(({ shape }) => shape?.map((dim) => (dim < 0 ? '' : dim)));
    const names = signature.outputs.map(({ name }) => name);
    const rowCounts = version.batchable ? [1, version.batching.maxBatchSize] : [1];
    for (const rows of rowCounts) {
      const inputs = makeInputs(signature.inputs, dims, { rows, otherwise: 2 }, 1);
      await session.run(inputs, names, noLimit);
    }
  }
  await runGoldenCases(signature, golden, run);
}
