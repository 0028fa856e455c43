/** Where in a message a tensor stands, and the refusal that names it. Used by every reader of tensors. */
import type { ErrorReason } from '../errors/error-catalogue.js';
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';

/** A tensor as messages name it: `inputs[0] "x"`, or `tensor "x"` where it stands in no list. */
export interface TensorPlace {
  readonly list: 'inputs' | 'outputs' | 'tensor';
  readonly index: number;
  readonly name: string | undefined;
}

/** Throws the error of a tensor, its place in front. */
export function refuseTensor(place: TensorPlace, reason: ErrorReason, fault: string): never {
  const list = place.list === 'tensor' ? 'tensor' : `${place.list}[${place.index}]`;
  const name = place.name === undefined ? '' : ` ${quoteName(place.name)}`;
  throw new TroupeError(reason, `${list}${name}: ${fault}`);
}

/** A value from outside in a few words, for messages; never recursive. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' || typeof value === 'symbol' ? quoteName(value.toString()) : String(value);
}

/** A shape for messages, shortened where it is long. */
export function describeShape(shape: readonly number[]): string {
  return shape.length > 16 ? `[${shape.slice(0, 16).join(',')},...]` : `[${shape.join(',')}]`;
}
