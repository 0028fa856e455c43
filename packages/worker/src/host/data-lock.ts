/**
 * The lock on a host's data folder: two hosts never share one. The holder is named by its process identity, so a
 * lock that a killed host left behind is recognised and taken over.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TroupeError } from '@troupe/shared';
import { identifyProcess, isAlive, parseIdentity } from './process-identity.js';

/** A lock that is held until `release()`. */
export interface DataLock {
  /** Idempotent. */
  release(): void;
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

function parseHolder(text: string): ReturnType<typeof parseIdentity> {
  try {
    return parseIdentity(JSON.parse(text));
  } catch {
    return undefined; // not ours: nobody alive is named by it
  }
}

function inUse(dir: string, pid: number | undefined): TroupeError {
  return new TroupeError(
    'config.invalid',
    `data folder ${dir} is in use by ${pid === undefined ? 'another host' : `the host with process id ${pid}`}: give this one its own with --data`,
  );
}

/** Takes the lock, creating the folder where it is missing. Throws `config.invalid` where a live host has it. */
export function lockDataFolder(dir: string): DataLock {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, 'lock');
  const mine = JSON.stringify(identifyProcess(process.pid) ?? { pid: process.pid });
  const draft = join(dir, `lock.${process.pid}.new`);
  for (let attempt = 0; attempt < 10; attempt += 1) {
    // Written aside and linked: whoever sees the lock sees it whole.
    writeFileSync(draft, mine);
    try {
      linkSync(draft, path);
      return {
        release: () => {
          if (readLock(path) === mine) rmSync(path, { force: true });
        },
      };
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    } finally {
      rmSync(draft, { force: true });
    }
    const found = readLock(path);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder !== undefined && isAlive(holder)) throw inUse(dir, holder.pid);
    // Moved aside before it is removed: of two hosts that find the same dead lock, one moves it; the other may
    // then move the first one's new lock, sees that by its content, and puts it back.
    const aside = join(dir, `lock.${process.pid}.dead`);
    try {
      renameSync(path, aside);
    } catch {
      continue; // the other one was faster
    }
    const moved = readLock(aside);
    if (moved !== found) {
      try {
        linkSync(aside, path);
      } catch {
        // Somebody has locked in the meantime: in use either way.
      }
      rmSync(aside, { force: true });
      throw inUse(dir, undefined);
    }
    rmSync(aside, { force: true });
  }
  throw inUse(dir, undefined);
}
