/**
 * The optional `troupe.config.json` of a folder: settings by the keys of the catalogue. Read once, at the start of a
 * coordinator or host. Says which key is wrong; never repeats a value, which may be a secret.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import { nearestName } from '../protocol/nearest-name.js';
import { settingCatalogue } from './setting-catalogue.js';

const configFileName = 'troupe.config.json';

/** What a file says, as texts by environment name. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, string>>;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TroupeError('config.invalid', `${path} cannot be read: ${String(error)}`, { cause: error });
  }
}

function parseObject(path: string, text: string): Readonly<Record<string, unknown>> {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's own message may repeat a part of the text.
    throw new TroupeError('config.invalid', `${path} is not JSON`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new TroupeError('config.invalid', `${path} is not a JSON object of settings`);
  }
  return content as Readonly<Record<string, unknown>>;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  const list = Array.isArray(value) && value.every((entry) => typeof entry === 'string');
  return list ? value.join(',') : undefined;
}

/** Reads the folder's file; `undefined` where there is none. Throws `config.invalid`, naming file and key. */
export function readConfigFile(folder: string): ConfigFile | undefined {
  const path = join(folder, configFileName);
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  const values: Record<string, string> = {};
  const keys = settingCatalogue.map(({ key }) => key);
  for (const [key, value] of Object.entries(parseObject(path, text))) {
    const setting = settingCatalogue.find((one) => one.key === key);
    if (setting === undefined) {
      const nearest = nearestName(key, keys);
      const hint = nearest === undefined ? `it may have ${keys.join(', ')}` : `did you mean ${nearest}?`;
      throw new TroupeError('config.invalid', `${path} has an unknown key ${quoteName(key)}: ${hint}`);
    }
    const given = textOf(value);
    if (given === undefined) {
      throw new TroupeError('config.invalid', `${key} in ${path} is neither a text nor a number`);
    }
    values[setting.env] = given;
  }
  return { path, values };
}
