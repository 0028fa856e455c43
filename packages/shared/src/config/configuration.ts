/**
 * The settings of a coordinator or host from all their sources: flag over environment over `troupe.config.json` over
 * default. All are checked by `readEnvironment`, so that a value is good or bad wherever it came from.
 */
import { readConfigFile } from './config-file.js';
import { currentVariables, type Environment, readEnvironment, type Variables } from './environment.js';
import { flagName, type Setting, settingCatalogue } from './setting-catalogue.js';

/** Defaults that are texts; those that are numbers stand in `defaults`. */
const defaultServers = {
  natsUrl: 'nats://127.0.0.1:4222',
  redisUrl: 'redis://127.0.0.1:6379',
  logLevel: 'info',
};
const defaultTexts: ReadonlyMap<string, string> = new Map(Object.entries(defaultServers));

export interface ConfigurationSources {
  /** Values of flags, by the setting's key. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  /** Default: the process' own environment. */
  readonly variables?: Variables;
  /** Where `troupe.config.json` is looked for. */
  readonly folder: string;
}

/** A setting as it may be shown. */
export interface ShownSetting {
  readonly key: string;
  /** Masked where it is a secret; absent where it is not set. */
  readonly value?: string;
  /** Flag, environment name or key and file; absent for a default. */
  readonly origin?: string;
}

/** A process' settings, ready to use. */
export interface Configuration extends Environment {
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** One line for each setting, with its origin; secrets are masked. For `--print-config`. */
  describe(): string;
  /** The same, as data: of these keys, or of all. */
  settings(keys?: readonly string[]): ShownSetting[];
  /** Where a setting came from, in words: `flag --nats`; `undefined` where nothing set it. */
  origin(key: string): string | undefined;
  /** What was set, as it was written; `undefined` where nothing was. */
  text(key: string): string | undefined;
}

/** A line for each setting: `natsUrl = nats://flag:1  (flag --nats)`. */
export function describeSettings(settings: readonly ShownSetting[]): string {
  return settings
    .map(({ key, value, origin }) =>
      value === undefined ? `${key} is not set` : `${key} = ${value}  (${origin ?? 'default'})`,
    )
    .join('\n');
}

interface Origin {
  readonly text: string;
  readonly from: string;
}

/** An address without what would log in with it, but with the name of a user. */
function maskUrl(urls: string): string {
  const mask = (url: string) =>
    url.replace(/\/\/(?:([^@/:]*):)?.*@/, (_, user: string | undefined) =>
      user === undefined || user === '' ? '//********@' : `//${user}:********@`,
    );
  return urls.split(',').map(mask).join(',');
}

function shown(setting: Setting, text: string): string {
  if (setting.secret) return '********';
  return setting.key.endsWith('Url') ? maskUrl(text) : text;
}

/** Reads and checks everything. Throws `config.invalid`, naming the setting and where its value came from. */
export function resolveConfiguration(sources: ConfigurationSources): Configuration {
  const { flags = {}, variables = currentVariables(), folder } = sources;
  const file = readConfigFile(folder);
  const origins = new Map<string, Origin>();
  const given: Record<string, string | undefined> = { ...variables };
  for (const { key, env, flag } of settingCatalogue) {
    const [byFlag, byVariable, byFile] = [flags[key], variables[env], file?.values[env]];
    // A variable that is set to nothing is not set.
    if (byFlag !== undefined && flag !== undefined)
      origins.set(env, { text: byFlag, from: `flag ${flagName(flag)}` });
    else if (byVariable !== undefined && byVariable !== '')
      origins.set(env, { text: byVariable, from: `environment ${env}` });
    else if (byFile !== undefined && file !== undefined)
      origins.set(env, { text: byFile, from: `${key} in ${file.path}` });
    given[env] = origins.get(env)?.text;
  }
  const environment = readEnvironment(given, (env) => {
    const from = origins.get(env)?.from;
    return from === undefined ? env : from.replace(/^(environment|flag) /, '');
  });

  const settings = (keys?: readonly string[]) =>
    settingCatalogue
      .filter(({ key }) => keys?.includes(key) ?? true)
      .map((setting): ShownSetting => {
        const { key, env, field } = setting;
        const origin = origins.get(env);
        if (origin !== undefined) return { key, value: shown(setting, origin.text), origin: origin.from };
        const value = field === undefined ? defaultTexts.get(key) : environment.cluster[field];
        return { key, ...(value === undefined ? {} : { value: String(value) }) };
      });
  const originOf = (key: string) => origins.get(settingCatalogue.find((one) => one.key === key)?.env ?? '');
  return {
    ...environment,
    natsUrl: environment.natsUrl ?? defaultServers.natsUrl,
    redisUrl: environment.redisUrl ?? defaultServers.redisUrl,
    describe: () => describeSettings(settings()),
    settings,
    origin: (key) => originOf(key)?.from,
    text: (key) => originOf(key)?.text,
  };
}
