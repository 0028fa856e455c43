/**
 * Which models this host serves and where, on its own disk: with the snapshot store it lets a host that starts while
 * Redis is away serve what it served last. Owned by the host. Only a convenience of bad days: as soon as the leader is
 * heard, its commands count.
 *
 * The list is written whole, synced, and renamed into place: a crash leaves the old one or the new one.
 */
import { join } from 'node:path';
import { type Log, parseModelName } from '@troupe/shared';
import { realStoreFiles, type StoreFiles } from './store-files.js';

/** One worker to resume: the model's stable snapshot on this device. */
export interface ResumeEntry {
  readonly model: string;
  readonly device: string;
  readonly credits: number;
}

export interface ResumeListOptions {
  /** Data folder of the host. */
  readonly dir: string;
  readonly log: Log;
  readonly files?: StoreFiles;
}

export interface ResumeList {
  /** What was served when the host last ran; empty where nothing readable is there. */
  load(): Promise<ResumeEntry[]>;
  /** Takes note of what is served now; writes only where it changed. Never throws. */
  keep(entries: readonly ResumeEntry[]): void;
  /** Resolves when the last note is on the disk. */
  idle(): Promise<void>;
}

function isEntry(value: unknown): value is ResumeEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { model, device, credits } = value as Record<string, unknown>;
  if (typeof device !== 'string' || !Number.isSafeInteger(credits) || (credits as number) < 1) return false;
  try {
    parseModelName(model);
    return true;
  } catch {
    return false;
  }
}

/** Nothing is read or written before the first call. */
export function createResumeList(options: ResumeListOptions): ResumeList {
  const { dir, log } = options;
  const files = options.files ?? realStoreFiles;
  const path = join(dir, 'serving.json');
  let kept: string | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function write(text: string): Promise<void> {
    if (text !== kept) return; // overtaken by a later note
    const draft = `${path}.new`;
    await files.writeSynced(draft, text);
    await files.rename(draft, path);
    await files.sync(dir);
  }

  return {
    async load() {
      const text = await files.read(path);
      if (text === undefined) return [];
      try {
        const { workers } = JSON.parse(text) as { workers?: unknown };
        return Array.isArray(workers) ? workers.filter(isEntry) : [];
      } catch {
        log.warn({ path }, 'the list of what was served last cannot be read');
        return [];
      }
    },
    keep(entries) {
      const unique = new Map(
        entries.map(({ model, device, credits }) => [`${model}@${device}`, { model, device, credits }]),
      );
      const text = JSON.stringify({ workers: [...unique.values()] });
      if (text === kept) return;
      kept = text;
      writing = writing
        .then(() => write(text))
        .catch((error: unknown) => log.warn({ err: error }, 'what is served could not be noted'));
    },
    idle: () => writing,
  };
}
