/**
 * Runs golden cases on a loaded model and compares: at registration in the trial process, and on each device in a
 * runner's warm-up. Knows nothing of how the model is run.
 */
import {
  compareTensors,
  decodeGoldenCase,
  type GoldenCase,
  quoteName,
  type Signature,
  type Tensor,
  TroupeError,
  validateInputs,
} from '@troupe/shared';

/** Runs the model on inputs in the order of its signature. */
export type RunModel = (
  inputs: readonly Tensor[],
  outputNames: readonly string[],
) => Promise<readonly Tensor[]>;

/**
 * Passes where every case gives what it must, in order; `onCase` hears of each before it runs. Outputs that a case
 * does not list are not looked at. Throws `model.golden`, naming the case and the largest difference; a NaN or an
 * infinity that is not expected is a difference like any other.
 */
export async function runGoldenCases(
  signature: Signature,
  cases: readonly GoldenCase[],
  run: RunModel,
  onCase: (name: string) => void = () => undefined,
): Promise<void> {
  for (const stored of cases) {
    const golden = decodeGoldenCase(stored);
    const refuse = (problem: string, cause?: unknown) =>
      new TroupeError('model.golden', `golden case ${quoteName(golden.name)}: ${problem}`, { cause });
    if (golden.outputs.length === 0) throw refuse('it expects no output');
    onCase(golden.name);
    try {
      validateInputs(signature, {
        parameters: {},
        inputs: golden.inputs,
        outputs: golden.outputs.map(({ name }) => ({ name })),
        binaryOutput: false,
      });
    } catch (thrown) {
      throw refuse((thrown as Error).message, thrown);
    }
    const inputs = signature.inputs.map(
      ({ name }) => golden.inputs.find((input) => input.name === name) as Tensor,
    );
    let outputs: readonly Tensor[];
    try {
      outputs = await run(
        inputs.map(copyTensor),
        golden.outputs.map(({ name }) => name),
      );
    } catch (thrown) {
      throw refuse((thrown as Error).message, thrown);
    }
    const tolerance = { absolute: golden.absoluteTolerance, relative: golden.relativeTolerance };
    golden.outputs.forEach((want, index) => {
      const got = outputs[index];
      const difference = got === undefined ? 'the output is missing' : compareTensors(got, want, tolerance);
      if (difference !== undefined) throw refuse(difference);
    });
  }
}

/** A tensor with memory of its own: a run may give its inputs' buffers away. */
function copyTensor(tensor: Tensor): Tensor {
  return tensor.data instanceof Uint8Array ? { ...tensor, data: new Uint8Array(tensor.data) } : tensor;
}
