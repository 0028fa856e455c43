/**
 * A clone of this repository as a newcomer has it after the first `npm start`: packages installed and built, the
 * launcher its own, no cluster running. In a temporary folder, so that nothing of this clone's cluster is touched.
 */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { sourceDigest } from '../../deploy/local/build.mjs';
import { inspectPackages } from '../../deploy/local/packages.mjs';
import { sendSignal } from '../../deploy/local/processes.mjs';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import { waitUntil } from '../harness/wait-until.js';

export interface Clone {
  readonly root: string;
  /** A folder beside it, for the files of the person who tries it. */
  readonly ownFolder: string;
  /** Processes that work anywhere in these folders. */
  atWork(): number[];
  /** Ends what is still at work, and removes the folders. */
  remove(): Promise<void>;
}

export function createClone(): Clone {
  const folder = realpathSync(temporaryDirectory('hour'));
  const root = join(folder, 'troupe');
  const ownFolder = join(folder, 'my-models');
  for (const path of [root, ownFolder, join(root, '.troupe')]) mkdirSync(path);
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.base.json', 'deploy'])
    cpSync(join(repositoryRoot, name), join(root, name), { recursive: true });
  for (const name of ['node_modules', 'packages']) symlinkSync(join(repositoryRoot, name), join(root, name));
  // Otherwise the start would install into this clone's node_modules.
  if (inspectPackages(root).state === 'stale')
    throw new Error('the packages are not installed as package-lock.json says: run npm test, or npm ci');
  writeFileSync(join(root, '.troupe/build-digest'), `${sourceDigest(root)}\n`);

  const atWork = () => processesIn(folder);
  return {
    root,
    ownFolder,
    atWork,
    async remove() {
      await waitUntil('everything in the clone has ended', () => {
        for (const pid of atWork()) sendSignal(pid, 'SIGKILL');
        return atWork().length === 0;
      });
      removeDirectory(folder);
    },
  };
}

/** By their working folder, which Redis keeps when it writes over its environment. */
function processesIn(folder: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    try {
      return Number.isInteger(pid) && `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${folder}/`)
        ? [pid]
        : [];
    } catch {
      return []; // gone in between, or somebody else's
    }
  });
}
