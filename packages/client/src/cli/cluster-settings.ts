/**
 * Where the command line finds its cluster and how it logs in: flag over environment over `troupe.config.json` of the
 * working folder over the nearest `.troupe/cluster.json` over default. Flags are those of the catalogue, as
 * coordinators and hosts have them. Connects to nothing.
 */
import {
  type Configuration,
  defaultNamespace,
  defaults,
  quoteName,
  resolveConfiguration,
  type Setting,
  type ShownSetting,
  settingCatalogue,
  type Variables,
} from '@troupe/shared';
import { type CheckedConnectOptions, checkConnectOptions } from '../sdk/connect-options.js';
import { findCluster } from '../sdk/find-cluster.js';
import { UsageError } from './exit-code.js';

const keys = [
  'natsUrl',
  'natsUser',
  'natsPassword',
  'natsToken',
  'natsCreds',
  'natsCa',
  'namespace',
] as const;
type ClientKey = (typeof keys)[number];

/** The settings of the catalogue that concern a client. */
export const clientSettings: readonly Setting[] = settingCatalogue.filter(({ key }) =>
  (keys as readonly string[]).includes(key),
);

/** What the flags say, as commander names them: by the flag, `--nats` as `nats`. */
export interface ClusterFlags extends Partial<Record<Exclude<ClientKey, 'natsUrl'>, string>> {
  readonly nats?: string;
  /** File with the password and nothing else; `-` is standard input. */
  readonly natsPasswordFile?: string;
}

/** The way to the cluster, and how it came about. */
export interface ClusterSettings {
  readonly connection: CheckedConnectOptions;
  /** For `--print-config`; secrets are masked. */
  readonly shown: readonly ShownSetting[];
}

/** `read`: the bytes of a file or of standard input. Throws `config.invalid`, or UsageError for what cannot be meant. */
export async function resolveClusterSettings(
  flags: ClusterFlags,
  folder: string,
  read: (path: string) => Promise<Uint8Array>,
  variables?: Variables,
): Promise<ClusterSettings> {
  const { nats, natsPasswordFile: _read, ...others } = flags;
  const natsPassword = await readPassword(flags, read);
  const configuration = resolveConfiguration({
    flags: {
      ...Object.fromEntries(keys.map((key) => [key, key === 'natsUrl' ? nats : others[key]])),
      ...(natsPassword === undefined ? {} : { natsPassword }),
    },
    folder,
    ...(variables === undefined ? {} : { variables }),
  });
  const found = findServers(configuration, folder);
  const connection = checkConnectOptions({
    servers: found.servers,
    origin: found.origin,
    namespace: found.namespace ?? defaultNamespace,
    connectTimeoutMs: defaults.connectTimeoutMs,
    name: 'troupe-cli',
    access: configuration.natsAccess,
    traceShare: configuration.traceShare,
  });
  const shown = configuration.settings(keys).map((one) => {
    if (one.origin !== undefined) return one;
    if (one.key === 'natsUrl') return { ...one, value: found.servers, origin: found.origin };
    if (one.key === 'namespace')
      return { ...one, value: connection.namespace, origin: found.namespaceOrigin };
    return one;
  });
  return { connection, shown };
}

async function readPassword(
  { natsPassword, natsPasswordFile }: ClusterFlags,
  read: (path: string) => Promise<Uint8Array>,
): Promise<string | undefined> {
  if (natsPasswordFile === undefined) return undefined;
  if (natsPassword !== undefined) throw new UsageError('--nats-password and --nats-password-file are given');
  const text = Buffer.from(await read(natsPasswordFile))
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text !== '' && !text.includes('\n')) return text;
  throw new UsageError(`${quoteName(natsPasswordFile)} holds no password: one line is wanted`);
}

interface FoundServers {
  readonly servers: string;
  readonly origin: string;
  readonly namespace?: string;
  readonly namespaceOrigin: string;
}

function findServers(configuration: Configuration, folder: string): FoundServers {
  const given = configuration.origin('natsUrl');
  const found =
    given === undefined
      ? findCluster(undefined, folder)
      : { servers: configuration.natsUrl, origin: given.replace(/^(environment|flag) /, '') };
  if (configuration.origin('namespace') !== undefined) {
    return { ...found, namespace: configuration.cluster.namespace, namespaceOrigin: '' };
  }
  const fromFile = 'namespace' in found && found.namespace !== undefined;
  return { ...found, namespaceOrigin: fromFile ? found.origin : 'default' };
}
