/**
 * The stored form of the registry's records (wire format): JSON whose first member is the revision, so that Redis can
 * compare it without decoding the rest. A deleted model leaves a tombstone: its version numbers are not given out
 * again, since queues, caches and snapshots may still hold work of the old ones.
 */
import { TroupeError } from '../errors/troupe-error.js';
import type { HostSettings, ModelRecord } from './model-record.js';

/** What is left of a deleted model. */
export interface ModelTombstone {
  readonly revision: number;
  readonly deleted: true;
  readonly latestVersion: number;
}

/** A model as it is kept. */
export type StoredModel = ModelRecord | ModelTombstone;

/** Host settings as they are kept. */
export interface StoredHostSettings extends HostSettings {
  readonly revision: number;
}

/** The model that a reader may see, if it is one. */
export function liveModel(stored: StoredModel | undefined): ModelRecord | undefined {
  return stored === undefined || 'deleted' in stored ? undefined : stored;
}

/** Encodes a record with its revision in front. */
export function encodeRecord(record: object, revision: number): string {
  return JSON.stringify(Object.assign({ revision }, record, { revision }));
}

function decodeRecord(text: string, what: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new TroupeError('internal.unexpected', `the registry holds no valid JSON for ${what}`, { cause });
  }
  throw new TroupeError('internal.unexpected', `the registry holds no record for ${what}`);
}

/** An object without inherited members: a label may be called `constructor`. */
export function bareRecord<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const record: Record<string, T> = Object.create(null);
  for (const [name, value] of entries) record[name] = value;
  return record;
}

export function decodeModel(text: string, name: string): StoredModel {
  const stored = decodeRecord(text, `model ${name}`) as StoredModel;
  if ('deleted' in stored) return stored;
  return {
    ...stored,
    versions: bareRecord(Object.entries(stored.versions)),
    labels: bareRecord(Object.entries(stored.labels)),
  };
}

export function decodeHostSettings(text: string, host: string): StoredHostSettings {
  return decodeRecord(text, `the settings of host ${host}`) as StoredHostSettings;
}
