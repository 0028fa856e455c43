/** Reads the members of a message that are not tensors: `parameters`, optional strings, lists. Used by both codecs. */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import type { Parameters } from './infer-message.js';
import { assertDepth } from './json-depth.js';
import { describeValue, refuseTensor, type TensorPlace } from './tensor-place.js';

/** A JSON object from outside. Its members are read by `for in` or after `hasOwn`, never copied by name. */
export type JsonObject = Record<string, unknown>;

/** Whether a value from outside is an object with members. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** No parameters, the usual case. */
export const noParameters: Parameters = Object.freeze({});
/** Level of what stands in an entry of a list: the message, the list, the entry, and this. */
export const memberOfEntryLevel = 4;

/**
 * Checks `parameters`: strings, numbers and booleans only; absent and null are none. Throws `request.parameter`.
 * The object is the caller's to read, and has no member called `__proto__`.
 */
export function readParameters(place: TensorPlace | undefined, parameters: unknown): Parameters {
  if (parameters === undefined || parameters === null) return noParameters;
  if (!isJsonObject(parameters)) {
    assertDepth(parameters, memberOfEntryLevel);
    refuseParameter(place, `"parameters" must be an object, not ${describeValue(parameters)}`);
  }
  for (const key in parameters) {
    const value = parameters[key];
    const fits =
      typeof value === 'number'
        ? Number.isFinite(value)
        : typeof value === 'string' || typeof value === 'boolean';
    if (!fits) {
      assertDepth(value, memberOfEntryLevel + 1);
      refuseParameter(
        place,
        `parameter ${quoteName(key)} must be a string, a finite number or a boolean, not ${describeValue(value)}`,
      );
    }
    if (key === '__proto__') refuseParameter(place, 'a parameter cannot be called "__proto__"');
  }
  return parameters as Parameters;
}

function refuseParameter(place: TensorPlace | undefined, fault: string): never {
  if (place !== undefined) refuseTensor(place, 'request.parameter', fault);
  throw new TroupeError('request.parameter', fault);
}

/** An optional string of a message; null is absent. Throws `request.shape`. */
export function readOptionalString(key: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  assertDepth(value, 2);
  throw new TroupeError('request.shape', `"${key}" must be a string, not ${describeValue(value)}`);
}

/** A list of a message. Throws `request.shape`. */
export function readList(key: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  assertDepth(value, 2);
  throw new TroupeError(
    'request.shape',
    `"${key}" must be an array, ${value === undefined ? 'and is missing' : `not ${describeValue(value)}`}`,
  );
}

/** Lists up to this long are searched for repeated names one by one. */
const shortList = 16;

/** The index of the first entry whose name an earlier one has; `undefined` where all differ. */
export function findRepeatedName(entries: readonly { readonly name: string }[]): number | undefined {
  if (entries.length > shortList) {
    const seen = new Set<string>();
    const repeated = entries.findIndex(({ name }) => seen.size === seen.add(name).size);
    return repeated < 0 ? undefined : repeated;
  }
  for (let index = 1; index < entries.length; index += 1) {
    const name = entries[index]?.name;
    for (let earlier = 0; earlier < index; earlier += 1) if (entries[earlier]?.name === name) return index;
  }
  return undefined;
}
