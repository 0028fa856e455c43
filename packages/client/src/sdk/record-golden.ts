/**
 * Records golden cases from a version that is live: made-up inputs, and what it answers to them. A later version that is
 * meant to answer the same then has to. Called by the client; registers nothing.
 */
import {
  type Datatype,
  elementCount,
  fromHalfArray,
  type GoldenCase,
  type GoldenTensor,
  parseLabel,
  type Signature,
  TroupeError,
} from '@troupe/shared';
import { SeededRandom } from '@troupe/shared/onnx';
import type { ModelDetails } from './cluster-answers.js';
import { assertOptionNames } from './connect-options.js';
import type { InferOptions } from './infer-options.js';
import type { InferResult, OutputTensor } from './infer-result.js';
import { describe, type Inputs, tensor } from './input-tensor.js';

/** What to record. */
export interface RecordGoldenOptions {
  /** The label of the version that is asked. Default `stable`. */
  readonly label?: string;
  /** Cases, each with other values and one row more. Default 4, at most 64. */
  readonly cases?: number;
}

/** What recording needs of its client. */
export interface RecordGoldenContext {
  model(name: string): Promise<ModelDetails>;
  infer(model: string, inputs: Inputs, options: InferOptions): Promise<InferResult>;
}

const usualCases = 4;
const mostCases = 64;
/** Tried in turn for dimensions that vary and are no rows: not every model runs at every size. */
const otherSizes = [8, 1, 32] as const;
/** Values are multiples of this: every float datatype holds them without loss, and JSON writes them short. */
const grain = 64;

/**
 * Asks the version for its answers. Throws `model.unknown`, `model.label_unknown`, `request.arguments`, and what a request
 * to the version throws.
 */
export async function recordGolden(
  context: RecordGoldenContext,
  name: string,
  options: RecordGoldenOptions = {},
): Promise<GoldenCase[]> {
  assertOptionNames('recordGolden', options, ['label', 'cases']);
  const label = parseLabel(options.label ?? 'stable');
  const count = options.cases ?? usualCases;
  if (!Number.isInteger(count) || count < 1 || count > mostCases) {
    throw new TroupeError(
      'request.arguments',
      `cases is ${describe(count)}: a whole number from 1 to ${mostCases} is wanted`,
    );
  }
  const details = await context.model(name);
  const version = details.labels[label];
  const signature = details.versions.find((one) => one.version === version)?.signature;
  if (version === undefined || signature === undefined) {
    throw new TroupeError(
      'model.label_unknown',
      `model ${name} has no version labelled ${label} whose answers could be recorded`,
    );
  }
  const random = new SeededRandom(version);
  const cases: GoldenCase[] = [];
  for (let rows = 1; rows <= count; rows += 1) {
    const { inputs, outputs } = await ask(context, name, version, signature, rows, random);
    cases.push({ name: `${label}-v${version}-${rows}`, inputs, outputs });
  }
  return cases;
}

async function ask(
  context: RecordGoldenContext,
  name: string,
  version: number,
  signature: Signature,
  rows: number,
  random: SeededRandom,
): Promise<Pick<GoldenCase, 'inputs' | 'outputs'>> {
  let failure: unknown;
  for (const size of otherSizes) {
    const inputs = makeInputs(signature, rows, size, random);
    try {
      // Pinned: the answer of another version would be none.
      const result = await context.infer(name, asInputs(inputs), { version });
      return {
        inputs,
        outputs: Object.entries(result.outputs).map(([output, value]) => asGolden(output, value)),
      };
    } catch (error) {
      if (!(error instanceof TroupeError) || error.class !== 'invalid_request') throw error;
      failure = error; // made-up sizes do not suit every model
    }
  }
  throw failure;
}

function makeInputs(
  signature: Signature,
  rows: number,
  size: number,
  random: SeededRandom,
): (GoldenTensor & { readonly datatype: Datatype })[] {
  return signature.inputs.map(({ name, datatype, shape }) => {
    const dims = (shape ?? [-1]).map((dim, axis) => (dim >= 0 ? dim : axis === 0 ? rows : size));
    const data = Array.from({ length: elementCount(dims) }, () => makeValue(datatype, random));
    return { name, datatype, shape: dims, data };
  });
}

/** As the trial makes them: floats within 1, and 0 or 1 for what a model may take for a size or an index. */
function makeValue(datatype: Datatype, random: SeededRandom): number | boolean | string {
  if (datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16') {
    return Math.round(random.nextWithin(1) * grain) / grain;
  }
  const bit = random.next() < 0.5 ? 0 : 1;
  if (datatype === 'BOOL') return bit === 1;
  return datatype === 'BYTES' ? String(bit) : bit;
}

function asInputs(inputs: ReturnType<typeof makeInputs>): Inputs {
  return Object.fromEntries(
    inputs.map(({ name, data, shape }) => [name, tensor(data as (number | boolean | string)[], shape)]),
  );
}

function asGolden(name: string, { data, datatype, shape }: OutputTensor): GoldenTensor {
  const values: ArrayLike<unknown> = datatype === 'FP16' ? fromHalfArray(data) : data;
  const plain = Array.from(values, (value) => (datatype === 'BOOL' ? value === 1 : value));
  return { name, datatype, shape, data: plain };
}
