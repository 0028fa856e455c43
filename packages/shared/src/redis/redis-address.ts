/** Where Redis is and how to log in. Keeps the password out of every text that leaves this folder. */
import { TroupeError } from '../errors/troupe-error.js';

/** A Redis URL taken apart. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** The address without credentials, for messages and logs. */
  readonly text: string;
}

function refuse(what: string): TroupeError {
  // The value itself is not quoted: it may hold a password.
  return new TroupeError(
    'config.invalid',
    `the Redis URL (REDIS_URL) ${what}; expected redis://[user:password@]host[:port][/database], or rediss:// for TLS`,
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse('has credentials with a % that is not percent-encoding');
  }
}

/** Takes a `redis://` or `rediss://` URL apart. Throws `config.invalid`, without quoting the URL. */
export function parseRedisUrl(url: string): RedisAddress {
  if (!URL.canParse(url)) throw refuse('is not a URL');
  const parsed = new URL(url);
  if (parsed.protocol !== 'redis:' && parsed.protocol !== 'rediss:')
    throw refuse('does not begin with redis://');
  if (parsed.hostname === '') throw refuse('names no host');
  const database = /^\/?(\d{0,5})$/.exec(parsed.pathname);
  if (database === null) throw refuse('ends with something that is not a database number');
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = parsed.port === '' ? 6379 : Number(parsed.port);
  const db = Number(database[1] ?? '');
  return {
    host,
    port,
    db,
    tls: parsed.protocol === 'rediss:',
    username: parsed.username === '' ? undefined : decode(parsed.username),
    password: parsed.password === '' ? undefined : decode(parsed.password),
    text: `${parsed.protocol}//${parsed.hostname}:${port}${db === 0 ? '' : `/${db}`}`,
  };
}

/** A function that takes the password out of a text: Redis repeats the arguments of a command that it does not know. */
export function createRedactor(password: string | undefined): (text: string) => string {
  if (password === undefined) return (text) => text;
  return (text) => text.replaceAll(password, '[redacted]');
}
