/**
 * The file operations of the snapshot store: a narrow port, so that tests can cut the power between any two of
 * them. Every call is one step that a crash leaves done, not done, or (for content) half done.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';

/** What the store asks of a file system. */
export interface StoreFiles {
  makeDir(path: string): Promise<void>;
  /** Names in a folder; empty where it is missing. */
  list(path: string): Promise<string[]>;
  /** Content as text; `undefined` where the file is missing. */
  read(path: string): Promise<string | undefined>;
  /** `undefined` where the file is missing. */
  stat(path: string): Promise<{ inode: number; sizeBytes: number; modifiedAtMs: number } | undefined>;
  /** SHA-256 of the content, lower-case hex. */
  digest(path: string): Promise<string>;
  /** Writes a new file and syncs its content to the disk. */
  writeSynced(path: string, text: string): Promise<void>;
  /** Syncs a file's content, or a folder's entries, to the disk. */
  sync(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  /** Removes a file or a folder with its content; nothing happens where it is missing. */
  remove(path: string): Promise<void>;
  /** Sets the time of last use to now. */
  touch(path: string): Promise<void>;
}

function isMissing(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException).code === 'ENOENT';
}

async function orMissing<T, F>(call: Promise<T>, missing: F): Promise<T | F> {
  try {
    return await call;
  } catch (thrown) {
    if (isMissing(thrown)) return missing;
    throw thrown;
  }
}

/** The real file system. */
export const realStoreFiles: StoreFiles = {
  makeDir: async (path) => {
    await mkdir(path, { recursive: true });
  },
  list: (path) => orMissing(readdir(path), []),
  read: (path) => orMissing(readFile(path, 'utf8'), undefined),
  stat: async (path) => {
    const found = await orMissing(stat(path), undefined);
    return found && { inode: found.ino, sizeBytes: found.size, modifiedAtMs: found.mtimeMs };
  },
  digest: async (path) => {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
    return hash.digest('hex');
  },
  writeSynced: async (path, text) => {
    const file = await open(path, 'w');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  sync: async (path) => {
    const file = await open(path, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  link,
  remove: (path) => rm(path, { recursive: true, force: true }),
  touch: async (path) => {
    const now = new Date();
    await utimes(path, now, now);
  },
};
