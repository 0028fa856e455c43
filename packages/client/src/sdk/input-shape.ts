/** Shapes of inputs against the signature: what fits, what was meant, and what a flat array's length says. Pure. */
import { elementCount, quoteName, type TensorSpec, TroupeError } from '@troupe/shared';
import { formatShape } from './input-tensor.js';

/** Refuses a shape that the signature does not allow, with the one that was probably meant. */
export function assertShapeFits(spec: TensorSpec, shape: readonly number[]): void {
  const wanted = spec.shape;
  if (wanted === undefined || fits(wanted, shape)) return;
  const meant = suggestShape(wanted, shape);
  const hint = meant === undefined ? '' : `: pass it as ${formatShape(meant)}${bracketHint(shape, meant)}`;
  throw new TroupeError(
    'request.tensor_shape',
    `input ${quoteName(spec.name)} has shape ${formatShape(shape)}, the model wants ${formatShape(wanted)}${fault(wanted, shape)}${hint}`,
  );
}

/**
 * The shape of `length` values in a row, where the signature leaves no choice: at most one dimension is variable,
 * and the others divide the length. Throws `request.tensor_shape` or `request.tensor_length` otherwise.
 */
export function shapeOfLength(spec: TensorSpec, length: number): readonly number[] {
  const wanted = spec.shape;
  if (wanted === undefined) {
    throw choice(spec, 'the rank of this input is not fixed');
  }
  let variable = 0;
  let fixed = 1;
  for (const dim of wanted) {
    if (dim < 0) variable += 1;
    else fixed *= dim;
  }
  if (variable > 1) throw choice(spec, `${variable} dimensions of ${formatShape(wanted)} are variable`);
  if (variable === 0) {
    if (length === fixed) return wanted;
    throw wrongLength(spec, length, `${formatShape(wanted)} takes ${fixed}`);
  }
  if (fixed === 0) throw choice(spec, `${formatShape(wanted)} is empty whatever its variable dimension`);
  if (length % fixed !== 0) {
    throw wrongLength(spec, length, `${formatShape(wanted)} takes a multiple of ${fixed}`);
  }
  return wanted.map((dim) => (dim < 0 ? length / fixed : dim));
}

function fits(wanted: readonly number[], shape: readonly number[]): boolean {
  return wanted.length === shape.length && wanted.every((dim, axis) => dim < 0 || dim === shape[axis]);
}

/** The shape that was probably meant: ones put in front, else the same elements in the wanted rank. */
function suggestShape(wanted: readonly number[], shape: readonly number[]): readonly number[] | undefined {
  const missing = wanted.length - shape.length;
  if (missing > 0) {
    const wrapped = [...Array.from({ length: missing }, () => 1), ...shape];
    if (fits(wanted, wrapped)) return wrapped;
  }
  if (wanted.filter((dim) => dim < 0).length > 1) return undefined;
  const fixed = elementCount(wanted.filter((dim) => dim >= 0));
  const count = elementCount(shape);
  if (fixed === 0 || count % fixed !== 0) return undefined;
  const filled = wanted.map((dim) => (dim < 0 ? count / fixed : dim));
  return elementCount(filled) === count ? filled : undefined;
}

function bracketHint(shape: readonly number[], meant: readonly number[]): string {
  const added = meant.length - shape.length;
  const onlyWrapped = added > 0 && meant.slice(0, added).every((dim) => dim === 1);
  if (!onlyWrapped) return '';
  return added === 1 ? ' (one more pair of brackets)' : ` (${added} more pairs of brackets)`;
}

function fault(wanted: readonly number[], shape: readonly number[]): string {
  if (wanted.length !== shape.length) {
    return ` (${wanted.length} dimension${wanted.length === 1 ? '' : 's'}, not ${shape.length})`;
  }
  const axis = wanted.findIndex((dim, index) => dim >= 0 && dim !== shape[index]);
  return ` (dimension ${axis} is ${shape[axis]}, not ${wanted[axis]})`;
}

function choice(spec: TensorSpec, why: string): TroupeError {
  return new TroupeError(
    'request.tensor_shape',
    `input ${quoteName(spec.name)}: ${why}, so a flat array does not say its shape: pass tensor(data, shape) or nested arrays`,
  );
}

function wrongLength(spec: TensorSpec, length: number, takes: string): TroupeError {
  return new TroupeError(
    'request.tensor_length',
    `input ${quoteName(spec.name)} has ${length} elements, shape ${takes}`,
  );
}
