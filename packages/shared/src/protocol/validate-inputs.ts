/**
 * Checks a decoded request against the signature of the model that is to run it. Called once per request by doors
 * and runners before the tensors reach a batch; says what is wrong in the words of the caller.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import type { InferRequest } from './infer-message.js';
import { nearestName } from './nearest-name.js';
import type { Signature, TensorSpec } from './signature.js';
import type { Tensor } from './tensor.js';
import { describeShape, refuseTensor, type TensorPlace } from './tensor-place.js';

/**
 * Passes a request whose inputs are those of the signature, in any order, and whose requested outputs exist.
 * Throws `request.input_unknown`, `request.input_missing`, `request.tensor_datatype`, `request.tensor_shape`,
 * `request.output_unknown`.
 */
export function validateInputs(signature: Signature, request: InferRequest): void {
  const { inputs, outputs } = request;
  for (let index = 0; index < inputs.length; index += 1) {
    const tensor = inputs[index] as Tensor;
    const spec = findSpec(signature.inputs, tensor.name, index);
    if (spec === undefined) refuseUnknown('input', tensor.name, signature.inputs);
    if (tensor.datatype !== spec.datatype) {
      refuseTensor(
        placeOf(tensor, index),
        'request.tensor_datatype',
        `is ${tensor.datatype}; the model takes ${spec.datatype}`,
      );
    }
    if (spec.shape !== undefined && !fitsShape(spec.shape, tensor.shape))
      refuseShape(tensor, index, spec.shape);
  }
  // Names in a request are unique, so as many known ones as the model has are all of them.
  if (inputs.length < signature.inputs.length) refuseMissing(signature.inputs, inputs);
  for (let index = 0; index < (outputs?.length ?? 0); index += 1) {
    const name = outputs?.[index]?.name ?? '';
    if (findSpec(signature.outputs, name, index) === undefined)
      refuseUnknown('output', name, signature.outputs);
  }
}

/** The spec of a name; callers mostly keep the model's order, so the same position is looked at first. */
function findSpec(specs: readonly TensorSpec[], name: string, index: number): TensorSpec | undefined {
  const likely = specs[index];
  return likely?.name === name ? likely : specs.find((spec) => spec.name === name);
}

function fitsShape(wanted: readonly number[], given: readonly number[]): boolean {
  if (wanted.length !== given.length) return false;
  for (let axis = 0; axis < wanted.length; axis += 1) {
    const dim = wanted[axis] as number;
    if (dim >= 0 && dim !== given[axis]) return false;
  }
  return true;
}

function placeOf({ name }: Tensor, index: number): TensorPlace {
  return { list: 'inputs', index, name };
}

function refuseShape(tensor: Tensor, index: number, wanted: readonly number[]): never {
  const withBatch = [1, ...tensor.shape];
  const hint = fitsShape(wanted, withBatch)
    ? `; did you mean ${describeShape(withBatch)}, one row of a batch?`
    : '';
  refuseTensor(
    placeOf(tensor, index),
    'request.tensor_shape',
    `shape ${describeShape(tensor.shape)} does not fit ${describeShape(wanted)} of the model${hint}`,
  );
}

function refuseMissing(specs: readonly TensorSpec[], inputs: readonly Tensor[]): void {
  const given = new Set(inputs.map(({ name }) => name));
  const missing = specs.filter(({ name }) => !given.has(name)).map(({ name }) => quoteName(name));
  if (missing.length === 0) return;
  const which =
    missing.length === 1 ? `input ${missing[0]} is missing` : `inputs ${listNames(missing)} are missing`;
  throw new TroupeError('request.input_missing', which);
}

function refuseUnknown(kind: 'input' | 'output', name: string, specs: readonly TensorSpec[]): never {
  const names = specs.map((spec) => spec.name);
  const nearest = nearestName(name, names);
  const hint =
    nearest === undefined
      ? `it has ${listNames(names.map(quoteName))}`
      : `did you mean ${quoteName(nearest)}?`;
  throw new TroupeError(
    kind === 'input' ? 'request.input_unknown' : 'request.output_unknown',
    `the model has no ${kind} ${quoteName(name)}; ${hint}`,
  );
}

/** Quoted names for a message, the first few of them. */
function listNames(quoted: readonly string[]): string {
  if (quoted.length === 0) return 'none';
  return quoted.length > 8
    ? `${quoted.slice(0, 8).join(', ')} and ${quoted.length - 8} more`
    : quoted.join(', ');
}
