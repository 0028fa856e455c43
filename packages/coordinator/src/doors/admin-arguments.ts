/**
 * Reads the arguments of admin calls: JSON from anybody. Every fault is `request.arguments` (or the name's own
 * reason) and names the argument; an argument that the call does not know is refused, so that a typing error is
 * never silently ignored. Pure.
 */
import {
  decodeGoldenCase,
  type GoldenCase,
  nearestName,
  parseHostName,
  parseLabel,
  parseModelName,
  parseVersion,
  quoteName,
  TroupeError,
} from '@troupe/shared';
import type { AdminArguments } from '@troupe/shared/nats';

/** Reads one argument; throws where it is not what it should be. */
export type Reader<T> = (value: unknown, name: string) => T;

/** Arguments that a call takes. */
export type Shape = Readonly<Record<string, Reader<unknown>>>;
/** Arguments after they were read. */
export type Values<S extends Shape> = { readonly [K in keyof S]: ReturnType<S[K]> };

/** Reads all arguments of a call. */
export function readArguments<S extends Shape>(args: AdminArguments, shape: S): Values<S> {
  const known = Object.keys(shape);
  for (const name of Object.keys(args)) {
    if (Object.hasOwn(shape, name)) continue;
    const nearest = nearestName(name, known);
    const hint = nearest === undefined ? `known: ${known.join(', ') || 'none'}` : `did you mean ${nearest}?`;
    throw refuse(`argument ${quoteName(name)} is not known (${hint})`);
  }
  const values: Record<string, unknown> = {};
  for (const [name, read] of Object.entries(shape)) {
    values[name] = read(Object.hasOwn(args, name) ? args[name] : undefined, name);
  }
  return values as Values<S>;
}

function refuse(message: string): TroupeError {
  return new TroupeError('request.arguments', message);
}

/** Makes an argument one that may be left out. */
export function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (value, name) => (value === undefined ? undefined : read(value, name));
}

/** An argument that may be `null`, which becomes `undefined`; left out it is missing. */
export function nullable<T>(read: Reader<T>): Reader<T | undefined> {
  return (value, name) => (value === null ? undefined : read(value, name));
}

/** Uses a parser of names, which has a reason of its own for a bad one. */
function named<T>(parse: (value: unknown) => T): Reader<T> {
  return (value, name) => {
    if (value === undefined) throw refuse(`argument ${name} is missing`);
    return parse(value);
  };
}

export const modelName = named(parseModelName);
export const label = named(parseLabel);
export const version = named(parseVersion);
export const hostName = named(parseHostName);

/** A whole number within bounds. */
export function integer(min: number, max: number): Reader<number> {
  return (value, name) => {
    if (value === undefined) throw refuse(`argument ${name} is missing`);
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw refuse(`argument ${name} is ${show(value)}: a whole number from ${min} to ${max} is wanted`);
  };
}

/** A SHA-256 in lower-case hex. */
export const digest: Reader<string> = (value, name) => {
  if (value === undefined) throw refuse(`argument ${name} is missing`);
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value;
  throw refuse(`argument ${name} is ${show(value)}: a SHA-256 in 64 lower-case hex digits is wanted`);
};

/** An object with arguments of its own. */
export function object<S extends Shape>(shape: S): Reader<Values<S>> {
  return (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw refuse(`argument ${name} is ${show(value)}: an object is wanted`);
    }
    try {
      return readArguments(value as AdminArguments, shape);
    } catch (error) {
      if (error instanceof TroupeError && error.reason === 'request.arguments')
        throw refuse(error.message.replace(/^argument /, `argument of ${name}: `));
      throw error;
    }
  };
}

/** Yes or no. */
export const flag: Reader<boolean> = (value, name) => {
  if (typeof value === 'boolean') return value;
  throw refuse(`argument ${name} is ${show(value)}: true or false is wanted`);
};

/** One of a few words. */
export function oneOf<T extends string>(words: readonly T[]): Reader<T> {
  return (value, name) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    throw refuse(`argument ${name} is ${show(value)}: one of ${words.join(', ')} is wanted`);
  };
}

/** An array with at most so many members. */
export function list<T>(readMember: Reader<T>, limit: number): Reader<readonly T[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw refuse(`argument ${name} is ${show(value)}: an array is wanted`);
    if (value.length > limit) throw refuse(`argument ${name} has ${value.length} members, at most ${limit}`);
    return value.map((member, index) => readMember(member, `${name}[${index}]`));
  };
}

/** Most golden cases of one version; each is run on every device before the version may serve there. */
const goldenLimit = 256;

export const goldenCases: Reader<readonly GoldenCase[]> = (value, name) => {
  if (!Array.isArray(value)) throw refuse(`argument ${name} is ${show(value)}: an array of cases is wanted`);
  if (value.length > goldenLimit)
    throw refuse(`argument ${name} has ${value.length} cases, at most ${goldenLimit}`);
  const names = new Set<string>();
  for (const golden of value as GoldenCase[]) {
    decodeGoldenCase(golden);
    if (names.has(golden.name))
      throw refuse(`argument ${name} has two cases named ${quoteName(golden.name)}`);
    names.add(golden.name);
  }
  return value as GoldenCase[];
};

/** A value in few characters. */
function show(value: unknown): string {
  if (typeof value === 'string') return quoteName(value);
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Without the arguments that were left out: what is stored has no `undefined` in it. */
export function present<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
