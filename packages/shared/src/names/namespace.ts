/** The namespace that keeps several Troupes apart on the same servers, and the rules for names in general. */
import { TroupeError } from '../errors/troupe-error.js';

/** Default of `TROUPE_NAMESPACE`. */
export const defaultNamespace = 'troupe';

const namespacePattern = /^[a-z][a-z0-9-]{0,31}$/;
/** Model names are one token of a subject: no dots, no wildcards, no blanks. Case-sensitive. */
const modelNamePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
const labelPattern = /^[a-z][a-z0-9_-]{0,31}$/;
const hostNamePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/** A name from outside, shortened and with control characters escaped, for messages and logs. */
export function quoteName(name: unknown): string {
  const text = typeof name === 'string' ? name : String(name);
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** Checks a namespace; it is the first token of every subject, stream, bucket and Redis key. */
export function parseNamespace(value: string): string {
  if (namespacePattern.test(value)) return value;
  throw new TroupeError(
    'config.invalid',
    `namespace ${quoteName(value)} is not allowed (TROUPE_NAMESPACE): lower-case letters, digits and '-', beginning with a letter, at most 32`,
  );
}

/** Checks a model name. Throws `model.name`. */
export function parseModelName(value: unknown): string {
  if (typeof value === 'string' && modelNamePattern.test(value)) return value;
  throw new TroupeError(
    'model.name',
    `model name ${quoteName(value)} is not allowed: letters, digits, '_' and '-', beginning with a letter or digit, at most 63`,
  );
}

/** Checks a host name. Throws `config.invalid`. */
export function parseHostName(value: unknown): string {
  if (typeof value === 'string' && hostNamePattern.test(value)) return value;
  throw new TroupeError(
    'config.invalid',
    `host name ${quoteName(value)} is not allowed: letters, digits, '_' and '-', beginning with a letter or digit, at most 63`,
  );
}

/** Checks a label (`stable`, `canary`, or the user's own). Throws `request.name`. */
export function parseLabel(value: unknown): string {
  if (typeof value === 'string' && labelPattern.test(value)) return value;
  throw new TroupeError(
    'request.name',
    `label ${quoteName(value)} is not allowed: lower-case letters, digits, '_' and '-', beginning with a letter, at most 32`,
  );
}

/** Checks a version: a positive integer. Throws `request.name`. */
export function parseVersion(value: unknown): number {
  const version = typeof value === 'string' && /^[1-9][0-9]{0,8}$/.test(value) ? Number(value) : value;
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1 && version < 1e9)
    return version;
  throw new TroupeError('request.name', `version ${quoteName(value)} is not allowed: a positive integer`);
}
