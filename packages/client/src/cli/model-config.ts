/**
 * Files with the settings of a version: `--config` (JSON object) and `--golden` (cases). Called by `models push`. Names
 * are checked here; values by the SDK and the cluster, which know their bounds.
 */
import { dirname, resolve } from 'node:path';
import { type GoldenCase, nearestName, quoteName, TroupeError } from '@troupe/shared';
import type { RegisterModelOptions } from '../sdk/register-model.js';
import { parseSource, readSource } from './read-source.js';

/** What a config file may set. */
export type ModelConfig = Pick<
  RegisterModelOptions,
  'maxBatchSize' | 'maxDelayMs' | 'replicas' | 'limits' | 'golden' | 'residency' | 'idleMs'
>;

const configNames = ['maxBatchSize', 'maxDelayMs', 'replicas', 'limits', 'golden', 'residency', 'idleMs'];
const limitNames = ['runLimitMs', 'queueLimit'];

/**
 * Reads a config file. `golden` in it is a list of cases, or the path of a file with them, seen from the config file.
 * Throws `request.arguments`, naming the file and the key.
 */
export async function readModelConfig(path: string): Promise<ModelConfig> {
  const content = parseSource(await readSource(path), path);
  const settings = knownMembers(content, configNames, path, 'a JSON object of settings is wanted');
  if (settings.limits !== undefined)
    knownMembers(
      settings.limits,
      limitNames,
      `${path}: limits`,
      `an object with ${limitNames.join(', ')} is wanted`,
    );
  const { golden, ...rest } = settings;
  if (golden === undefined) return rest;
  const cases =
    typeof golden === 'string'
      ? await readGolden(resolve(dirname(path), golden))
      : casesOf(golden, `${path}: golden`);
  return { ...rest, golden: cases };
}

/** Reads golden cases: a list, alone or as `cases` of an object. Throws `request.arguments`. */
export async function readGolden(path: string): Promise<readonly GoldenCase[]> {
  return casesOf(parseSource(await readSource(path), path), path);
}

function casesOf(content: unknown, source: string): readonly GoldenCase[] {
  const cases =
    typeof content === 'object' && content !== null && 'cases' in content ? content.cases : content;
  if (Array.isArray(cases)) return cases as GoldenCase[];
  throw refuse(`${source} holds no golden cases: a JSON array of cases is wanted, or {"cases": [...]}`);
}

function knownMembers(
  value: unknown,
  names: readonly string[],
  source: string,
  wanted: string,
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse(`${source}: ${wanted}`);
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue;
    const nearest = nearestName(name, names);
    const hint = nearest === undefined ? `known are ${names.join(', ')}` : `did you mean ${nearest}?`;
    throw refuse(`${source}: ${quoteName(name)} is no setting (${hint})`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function refuse(message: string): TroupeError {
  return new TroupeError('request.arguments', message);
}
