/** What the caller passed as inputs, to the tensors of a request: names matched with the signature, each one once. */
import { nearestName, quoteName, type Signature, type Tensor, TroupeError } from '@troupe/shared';
import { convertInput } from './convert-input.js';
import { describe, isInputTensor } from './input-tensor.js';
import { isTypedArray } from './nested-array.js';

/**
 * Converts inputs in the order of the signature. Throws `request.input_missing`, `request.input_unknown` (naming the
 * nearest known one) and what `convertInput` throws. `model` is for messages.
 */
export function convertInputs(model: string, signature: Signature, inputs: unknown): Tensor[] {
  const [only] = signature.inputs;
  if (only !== undefined && signature.inputs.length === 1 && isTypedArray(inputs)) {
    return [convertInput(only, inputs)];
  }
  const record = namedInputs(model, signature, inputs);
  const known = signature.inputs.map((spec) => spec.name);
  for (const name of Object.keys(record)) {
    if (!known.includes(name)) throw unknownInput(model, name, known);
  }
  return signature.inputs.map((spec) => {
    const value = Object.hasOwn(record, spec.name) ? record[spec.name] : undefined;
    if (value === undefined) {
      throw new TroupeError(
        'request.input_missing',
        `input ${quoteName(spec.name)} is missing: model ${model} takes ${listNames(known)}`,
      );
    }
    return convertInput(spec, value);
  });
}

/** The inputs by name; a value alone stands for the only input. */
function namedInputs(
  model: string,
  signature: Signature,
  inputs: unknown,
): Readonly<Record<string, unknown>> {
  const names = signature.inputs.map((spec) => spec.name);
  const only = names.length === 1 ? names[0] : undefined;
  if (isNamed(inputs)) {
    // `tensor()` and outputs of other answers are objects, too: told apart by the names that the model has.
    const isValue = isInputTensor(inputs) && !names.includes('data') && !names.includes('shape');
    if (!isValue) return inputs;
  }
  if (inputs === undefined || inputs === null || typeof inputs === 'function' || typeof inputs === 'symbol') {
    throw new TroupeError(
      'request.input_missing',
      `inputs are ${describe(inputs)}: model ${model} takes ${listNames(names)}`,
    );
  }
  if (only === undefined) {
    throw new TroupeError(
      'request.input_missing',
      `model ${model} takes ${listNames(names)}: pass an object with a value for each name, not ${describe(inputs)}`,
    );
  }
  return { [only]: inputs };
}

function isNamed(inputs: unknown): inputs is Readonly<Record<string, unknown>> {
  return (
    typeof inputs === 'object' &&
    inputs !== null &&
    !Array.isArray(inputs) &&
    !isTypedArray(inputs) &&
    !(inputs instanceof ArrayBuffer) &&
    !(inputs instanceof DataView)
  );
}

function unknownInput(model: string, name: string, known: readonly string[]): TroupeError {
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? '' : `: did you mean ${quoteName(nearest)}?`;
  return new TroupeError(
    'request.input_unknown',
    `model ${model} has no input ${quoteName(name)}${hint} (it takes ${listNames(known)})`,
  );
}

/** Names for messages; not all of them where they are many. */
export function listNames(names: readonly string[]): string {
  if (names.length === 0) return 'no inputs';
  const shown = names.slice(0, 8).map(quoteName).join(', ');
  const rest = names.length - 8;
  const noun = names.length === 1 ? 'input' : 'inputs';
  return rest > 0 ? `the ${noun} ${shown} and ${rest} more` : `the ${noun} ${shown}`;
}
