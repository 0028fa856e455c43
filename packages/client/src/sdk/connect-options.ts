/** Options of `connect()` in three stages: as given, with defaults, checked. Only the last travels inside. */
import {
  defaultNamespace,
  defaults,
  type Environment,
  type NatsAccess,
  nearestName,
  parseNamespace,
  quoteName,
  TroupeError,
} from '@troupe/shared';
import { findCluster } from './find-cluster.js';

/** How to reach a cluster. All of it is optional. */
export interface ConnectOptions {
  /**
   * Address of NATS, or several of one cluster (a list, or separated by commas). Default: `NATS_URL`; else the nearest
   * `.troupe/cluster.json` from the working directory upwards; else `nats://127.0.0.1:4222`.
   */
  readonly servers?: string | readonly string[];
  /** Keeps several Troupes apart on the same servers. Default `TROUPE_NAMESPACE`, or `troupe`. */
  readonly namespace?: string;
  /** For the first connection and each answer on the way to it, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Name of the connection, as NATS lists it. Default `troupe-client`. */
  readonly name?: string;
  /** User of NATS. Default `NATS_USER`, or what stands in the address. */
  readonly user?: string;
  /** The user's password. Default `NATS_PASSWORD`. */
  readonly pass?: string;
  /** Token of NATS, instead of a user. Default `NATS_TOKEN`. */
  readonly token?: string;
  /** Path of a NATS credentials file, instead of a user. Default `NATS_CREDS`. */
  readonly credsFile?: string;
  /** Path of the PEM file with the authority of NATS' certificate; asks for TLS. Default `NATS_CA`. */
  readonly caFile?: string;
  /**
   * Of the calls that are made outside of any trace, the share that may begin one, from 0 to 1: OpenTelemetry is asked
   * about these alone, and what its sampler says holds for them. Calls that follow each other at once (within 0.1 ms) are
   * chosen or not together, 16 at most. Default `TROUPE_TRACE_SHARE`, or 1.
   */
  readonly traceShare?: number;
}

/** With defaults; values are not checked yet. */
export interface ResolvedConnectOptions {
  readonly servers: string | readonly string[];
  /** Where the servers came from, in words. */
  readonly origin: string;
  readonly namespace: string;
  readonly connectTimeoutMs: number;
  readonly name: string;
  readonly access: NatsAccess;
  readonly traceShare: number;
}

/** Checked: what travels inside. */
export interface CheckedConnectOptions {
  readonly servers: readonly string[];
  readonly origin: string;
  readonly namespace: string;
  readonly connectTimeoutMs: number;
  readonly name: string;
  readonly access: NatsAccess;
  readonly traceShare: number;
}

const accessNames = ['user', 'pass', 'token', 'credsFile', 'caFile'] as const;
const optionNames = ['servers', 'namespace', 'connectTimeoutMs', 'name', 'traceShare', ...accessNames];

/** Credentials among the options go before those of the environment as a whole: two halves make no login. */
function resolveAccess(options: ConnectOptions, environment: NatsAccess): NatsAccess {
  const { user, pass, token, credsFile } = options;
  const given = user ?? pass ?? token ?? credsFile;
  const caFile = options.caFile ?? environment.caFile;
  const access =
    given === undefined
      ? environment
      : {
          ...(user === undefined ? {} : { user }),
          ...(pass === undefined ? {} : { password: pass }),
          ...(token === undefined ? {} : { token }),
          ...(credsFile === undefined ? {} : { credsFile }),
        };
  return { ...access, ...(caFile === undefined ? {} : { caFile }) };
}

/** The values are never quoted: they are secrets. */
function checkAccess(access: NatsAccess): NatsAccess {
  const { user, password, token, credsFile, caFile } = access;
  for (const value of [user, password, token, credsFile, caFile]) {
    if (value === undefined || (typeof value === 'string' && value !== '')) continue;
    throw new TroupeError('config.invalid', `${accessNames.join(', ')} are texts that are not empty`);
  }
  if (password !== undefined && user === undefined) {
    throw new TroupeError('config.invalid', 'pass is given, but no user');
  }
  if ([user, token, credsFile].filter((value) => value !== undefined).length > 1) {
    throw new TroupeError(
      'config.invalid',
      'give user and pass, or token, or credsFile, not several of them',
    );
  }
  return access;
}

/** Fills in what was not given. */
export function resolveConnectOptions(
  options: ConnectOptions,
  environment: Pick<Environment, 'natsUrl' | 'natsAccess' | 'cluster' | 'traceShare'>,
  directory: string,
): ResolvedConnectOptions {
  assertOptionNames('connect', options, optionNames);
  const found =
    options.servers === undefined
      ? findCluster(environment.natsUrl, directory)
      : { servers: options.servers, origin: 'the option servers' };
  const fromEnvironment = environment.cluster.namespace;
  // A cluster's file knows its namespace; the environment goes before it only where it says something.
  const fromFile = 'namespace' in found ? found.namespace : undefined;
  const fallback = fromEnvironment === defaultNamespace ? (fromFile ?? fromEnvironment) : fromEnvironment;
  return {
    servers: found.servers,
    origin: found.origin,
    namespace: options.namespace ?? fallback,
    connectTimeoutMs: options.connectTimeoutMs ?? defaults.connectTimeoutMs,
    name: options.name ?? 'troupe-client',
    access: resolveAccess(options, environment.natsAccess),
    traceShare: options.traceShare ?? environment.traceShare,
  };
}

/** Checks everything at once. Throws `config.invalid`, naming the field and where a bad address came from. */
export function checkConnectOptions(options: ResolvedConnectOptions): CheckedConnectOptions {
  const { connectTimeoutMs, name, traceShare } = options;
  if (!Number.isInteger(connectTimeoutMs) || connectTimeoutMs < 1 || connectTimeoutMs > 600_000) {
    throw new TroupeError(
      'config.invalid',
      `connectTimeoutMs ${quoteName(connectTimeoutMs)} is not allowed: a whole number from 1 to 600000`,
    );
  }
  if (typeof name !== 'string' || name === '' || name.length > 128) {
    throw new TroupeError('config.invalid', `name ${quoteName(name)} is not allowed: 1 to 128 characters`);
  }
  if (typeof traceShare !== 'number' || !(traceShare >= 0 && traceShare <= 1)) {
    throw new TroupeError(
      'config.invalid',
      `traceShare ${quoteName(traceShare)} is not allowed: a number from 0 to 1`,
    );
  }
  return {
    servers: checkServers(options.servers, options.origin),
    origin: options.origin,
    namespace: parseNamespace(options.namespace),
    connectTimeoutMs,
    name,
    access: checkAccess(options.access),
    traceShare,
  };
}

function checkServers(servers: unknown, origin: string): readonly string[] {
  const given: unknown[] = Array.isArray(servers)
    ? servers
    : typeof servers === 'string'
      ? servers.split(',')
      : [servers];
  const list = given.map((server) => checkServer(server, origin)).filter((server) => server !== '');
  if (list.length > 0) return list;
  throw new TroupeError('config.invalid', `no address of NATS is given (${origin})`);
}

function checkServer(server: unknown, origin: string): string {
  if (typeof server === 'string') {
    const text = server.trim();
    if (text === '') return text;
    const url = text.includes('://') ? text : `nats://${text}`;
    if (/^(nats|tls):\/\//.test(url) && URL.canParse(url) && new URL(url).hostname !== '') return text;
  }
  const shown = typeof server === 'string' ? server.replace(/\/\/[^@/]*@/, '//') : server;
  throw new TroupeError(
    'config.invalid',
    `${quoteName(shown)} (${origin}) is not an address of NATS: write nats://host:port`,
  );
}

/** Refuses options that do not exist: in JavaScript a misspelt one would be passed over in silence. */
export function assertOptionNames(owner: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TroupeError(
      'request.parameter',
      `the options of ${owner} are an object, not ${quoteName(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const nearest = nearestName(name, names);
    const hint = nearest === undefined ? `it knows ${names.join(', ')}` : `did you mean ${nearest}?`;
    throw new TroupeError('request.parameter', `${owner} has no option ${quoteName(name)}: ${hint}`);
  }
}
