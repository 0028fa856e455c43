/**
 * Finds out whether requests for a model may be merged: every input and output must begin with a variable dimension,
 * and rows run together must give what they give when run apart. Metadata alone does not tell: the first dimension of
 * a recurrent model may be time, and merging would answer wrongly without any error.
 */
import {
  compareTensors,
  type Datatype,
  fromHalfArray,
  quoteName,
  type Tensor,
  TroupeError,
  viewAs,
} from '@troupe/shared';
import type { RunModel } from './golden-run.js';
import type { LoadedModel, NamedDims } from './session-metadata.js';
import { makeInputs, rowSymbols } from './trial-data.js';
import { madeUpRunFault } from './trial-messages.js';

/** Whether requests may be merged, or why not. */
export type BatchVerdict =
  /** `rowMs`: roughly what a row takes in a batch, in milliseconds. */
  | { readonly batchable: true; readonly rowMs: number }
  | { readonly batchable: false; readonly reason: string };

/**
 * How far a row may move when others run beside it: what floats lose when a larger matrix is summed in another order.
 * Relative to each value, and absolutely to the largest value of the output, since a sum near zero loses as much as
 * its terms. Two shared text classifiers move by up to 4.7e-3 between one row and more, because they choose their
 * quantisation scale over all rows of the batch: there an answer depends on who else asked, so it stays out.
 */
const tolerances: Readonly<Partial<Record<Datatype, { relative: number; ofLargest: number }>>> = {
  FP64: { relative: 1e-4, ofLargest: 1e-5 },
  FP32: { relative: 1e-4, ofLargest: 1e-5 },
  // 11 bits of fraction: a unit in the last place is 1e-3 of the value.
  FP16: { relative: 4e-3, ofLargest: 2e-3 },
};

/** Longest that a full batch takes where nobody asked for its size, in milliseconds. */
export const fullBatchMs = 1_000;

/** Why the declared dimensions rule merging out; `undefined` where they do not. */
export function findDimsFault({ signature, inputDims, outputDims }: LoadedModel): string | undefined {
  if (inputDims.length === 0) return 'the model has no input';
  const problemOf = (dims: NamedDims | undefined): string | undefined => {
    if (dims === undefined) return 'has an unknown rank';
    if (dims.length === 0) return 'is a scalar';
    return typeof dims[0] === 'number' ? `begins with the fixed dimension ${dims[0]}` : undefined;
  };
  for (const [role, specs, all] of [
    ['input', signature.inputs, inputDims],
    ['output', signature.outputs, outputDims],
  ] as const) {
    for (const [index, spec] of specs.entries()) {
      const problem = problemOf(all[index]);
      if (problem !== undefined) return `${role} ${quoteName(spec.name)} ${problem}`;
    }
  }
  const symbols = rowSymbols(inputDims);
  if (symbols.size > 1) {
    return `the inputs begin with different dimensions: ${[...symbols].map(quoteName).join(', ')}`;
  }
  // Outputs may bear another name for it: converters number the dimensions of every tensor anew. Whether their rows
  // are those of the inputs is found by running.
  for (const dims of [...inputDims, ...outputDims]) {
    const again = dims?.slice(1).find((dim) => typeof dim === 'string' && symbols.has(dim));
    if (again !== undefined) return `dimension ${quoteName(again)} is not only the first one`;
  }
  return undefined;
}

/**
 * Runs made-up rows together and apart, for several row counts. `otherwise` is the size of the other variable
 * dimensions; `maxRows` the largest batch that is wanted.
 */
export async function tryBatching(
  model: LoadedModel,
  run: RunModel,
  { otherwise, maxRows }: { otherwise: number; maxRows: number },
): Promise<BatchVerdict> {
  const fault = findDimsFault(model);
  if (fault !== undefined) return { batchable: false, reason: fault };
  const parts = [1, 2, 3];
  const first = await compareRound(model, run, parts, otherwise, 11);
  if (first.difference !== undefined) return { batchable: false, reason: first.difference };
  const { rowMs } = first;
  // Once more with as many rows as a batch may have, or as a second is enough for.
  const rows = Math.min(maxRows, rowsWithin(fullBatchMs, rowMs));
  if (rows > 6) {
    const second = await compareRound(model, run, [1, rows - 1], otherwise, 12);
    if (second.difference !== undefined) return { batchable: false, reason: second.difference };
  }
  return { batchable: true, rowMs };
}

/** How many rows fit in a time; at least one. */
export function rowsWithin(limitMs: number, rowMs: number): number {
  return Math.max(1, Math.floor(limitMs / Math.max(rowMs, 1e-6)));
}

async function compareRound(
  { signature, inputDims }: LoadedModel,
  run: RunModel,
  parts: readonly number[],
  otherwise: number,
  seed: number,
): Promise<{ difference: string | undefined; rowMs: number }> {
  const total = parts.reduce((sum, rows) => sum + rows, 0);
  const names = signature.outputs.map(({ name }) => name);
  const inputs = makeInputs(signature.inputs, inputDims, { rows: total, otherwise }, seed);
  const how = `${total} rows run together and as ${parts.join(' + ')}`;
  let rowMs = 0;
  const differs = (difference: string) => ({ difference, rowMs });
  try {
    const startedAt = performance.now();
    const together = await run(inputs, names);
    rowMs = (performance.now() - startedAt) / total;
    const odd = together.find(({ shape }) => shape[0] !== total);
    if (odd !== undefined) {
      return differs(`output ${quoteName(odd.name)} has shape [${odd.shape.join(',')}] for ${total} rows`);
    }
    if (!together.some(isTelling)) return differs('the trial gave no finite numbers, which proves nothing');
    let start = 0;
    for (const rows of parts) {
      const alone = await run(
        inputs.map((input) => takeRows(input, start, rows)),
        names,
      );
      for (const [index, want] of alone.entries()) {
        const got = takeRows(together[index] as Tensor, start, rows);
        const difference = compareTensors(got, want, toleranceOf(want));
        if (difference !== undefined) return differs(`${how} give different answers: ${difference}`);
      }
      start += rows;
    }
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown;
    return differs(`${madeUpRunFault} failed with ${how}: ${thrown.message}`);
  }
  return { difference: undefined, rowMs };
}

function takeRows(tensor: Tensor, start: number, rows: number): Tensor {
  const total = tensor.shape[0] ?? 0;
  const { data } = tensor;
  const perRow = total === 0 ? 0 : data.length / total;
  const [from, to] = [start * perRow, (start + rows) * perRow];
  return { ...tensor, shape: [rows, ...tensor.shape.slice(1)], data: data.slice(from, to) };
}

/** Whether an output could show that rows are mixed: it holds anything but NaN and infinities. */
function isTelling({ datatype, data }: Tensor): boolean {
  if (tolerances[datatype] === undefined || !(data instanceof Uint8Array)) return data.length > 0;
  return floatsOf(datatype, data).some(Number.isFinite);
}

function toleranceOf(want: Tensor): { absolute: number; relative: number } {
  const rule = tolerances[want.datatype];
  if (rule === undefined || !(want.data instanceof Uint8Array)) return { absolute: 0, relative: 0 };
  let largest = 0;
  for (const value of floatsOf(want.datatype, want.data)) {
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  }
  return { absolute: rule.ofLargest * largest, relative: rule.relative };
}

function floatsOf(datatype: Datatype, data: Uint8Array): Float32Array | Float64Array {
  if (datatype === 'FP64') return viewAs('FP64', data);
  return datatype === 'FP16' ? fromHalfArray(viewAs('FP16', data)) : viewAs('FP32', data);
}
