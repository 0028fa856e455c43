/**
 * Owns the build: `tsc -b`, only where something that it reads has changed since the last good one. Called by setup.mjs
 * under its lock.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, SetupFault } from './fault.mjs';
import { runTool } from './tool.mjs';

const stampPath = '.troupe/build-digest';

/**
 * Digest of all that the compiler reads: sources, settings, and the compiler itself (by the lock file).
 * @param {string} root
 */
export function sourceDigest(root) {
  const hash = createHash('sha256');
  /** @param {string} path relative to the root */
  const add = (path) => {
    hash.update(`${path}\0`);
    hash.update(readFileSync(join(root, path)));
    hash.update('\0');
  };
  for (const file of ['tsconfig.json', 'tsconfig.base.json', 'package-lock.json']) add(file);
  for (const name of packageNames(root)) {
    const folder = `packages/${name}`;
    for (const file of ['package.json', 'tsconfig.json']) add(`${folder}/${file}`);
    const sources = readdirSync(join(root, folder, 'src'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
      .sort();
    for (const source of sources) add(source);
  }
  return hash.digest('hex');
}

/**
 * Is there a build of just these sources?
 * @param {string} root
 * @param {string} digest
 */
export function isBuilt(root, digest) {
  const stamp = join(root, stampPath);
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8').trim() !== digest) return false;
  return packageNames(root).every((name) => existsSync(join(root, 'packages', name, 'dist/index.js')));
}

/**
 * @param {string} root
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress }} context
 */
export async function ensureBuilt(root, { progress, guard, signal }) {
  const digest = sourceDigest(root);
  if (isBuilt(root, digest)) return;
  const { code, output } = await progress.step('Building', () => {
    const complete = packageNames(root).every((name) =>
      existsSync(join(root, 'packages', name, 'dist/index.js')),
    );
    // A dist that lost files but kept the compiler's notes would count as up to date.
    const args = [
      'node_modules/typescript/bin/tsc',
      '-b',
      '--pretty',
      'false',
      ...(complete ? [] : ['--force']),
    ];
    return runTool(process.execPath, args, { cwd: root, guard, signal });
  });
  if (code !== 0) {
    const first = /^(\S+?)\(\d+,\d+\): error TS\d+: .*$/m.exec(output)?.[0] ?? `tsc ended with code ${code}`;
    throw new SetupFault(`the build failed: ${first}`, { detail: lastLines(output) });
  }
  mkdirSync(join(root, '.troupe'), { recursive: true });
  writeFileSync(join(root, stampPath), `${digest}\n`);
}

/** @param {string} root */
function packageNames(root) {
  return readdirSync(join(root, 'packages'))
    .filter((name) => existsSync(join(root, 'packages', name, 'tsconfig.json')))
    .sort();
}
