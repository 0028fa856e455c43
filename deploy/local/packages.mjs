/**
 * Owns the npm packages: are they installed as the lock file says, and if not, `npm ci`. Called by setup.mjs under its
 * lock. It never changes package.json or package-lock.json.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, SetupFault } from './fault.mjs';
import { runTool } from './tool.mjs';

/** Ours, written after a good install; gone with node_modules, so it never outlives what it speaks of. */
const stampPath = 'node_modules/.troupe-lock-digest';
/** npm's own, written last: Ctrl-C inside `npm ci` leaves node_modules without it. */
const installedLockPath = 'node_modules/.package-lock.json';

/** Some packages hold binaries: a node_modules copied from another machine is not ours. */
const platform = `${process.platform}-${process.arch}`;

/**
 * @typedef {{ state: 'current' } | { state: 'unstamped' } | { state: 'unlinked' }
 *   | { state: 'stale', reason: string }} InstallState
 */

/**
 * What is there, judged without changing anything.
 * @param {string} root
 * @returns {InstallState} `unstamped`: by somebody else, but just what the lock file asks for; `unlinked`: our own
 *   commands are missing among the links (npm makes none for a file that is not there yet)
 */
export function inspectPackages(root) {
  const lockText = read(join(root, 'package-lock.json'));
  if (lockText === undefined)
    throw new SetupFault('package-lock.json is missing: this is not a whole clone of Troupe');
  if (!existsSync(join(root, 'node_modules'))) return { state: 'stale', reason: 'nothing is installed' };
  const installedText = read(join(root, installedLockPath));
  if (installedText === undefined) return { state: 'stale', reason: 'an earlier install was cut off' };
  const stamp = read(join(root, stampPath))?.trim();
  const current = stamp === stampOf(lockText);
  if (stamp !== undefined && !stamp.startsWith(`${platform} `))
    return { state: 'stale', reason: 'what is installed is for another platform' };
  if (!current && !sameVersions(lockText, installedText))
    return { state: 'stale', reason: 'package-lock.json has changed' };
  if (!linksThere(root, lockText)) return { state: 'unlinked' };
  return { state: current ? 'current' : 'unstamped' };
}

/**
 * @param {string} root
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress }} context
 */
export async function ensurePackages(root, context) {
  const found = inspectPackages(root);
  if (found.state === 'current') return;
  if (found.state === 'stale')
    await npm(root, ['ci', '--include=dev'], `Installing packages (${found.reason})`, context);
  if (found.state === 'unlinked')
    await npm(root, ['rebuild', '--ignore-scripts'], 'Linking our own commands', context);
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  writeFileSync(join(root, stampPath), `${stampOf(lockText)}\n`);
}

/**
 * @param {string} root
 * @param {string[]} args
 * @param {string} title
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress }} context
 */
async function npm(root, args, title, { progress, guard, signal }) {
  const flags = ['--no-audit', '--no-fund', '--no-progress', '--loglevel=error'];
  const cli = process.env.npm_execpath;
  const [command, first] = cli?.endsWith('.js') === true ? [process.execPath, [cli]] : ['npm', []];
  const { code, output } = await progress.step(title, () =>
    runTool(command, [...first, ...args, ...flags], { cwd: root, env: npmEnvironment(), guard, signal }),
  );
  if (code !== 0) {
    throw new SetupFault(npmFault(args[0] ?? '', code, output), { detail: lastLines(output) });
  }
}

/**
 * Environment of an npm inside npm: without what the outer one was told about its own command.
 * @returns {NodeJS.ProcessEnv}
 */
export function npmEnvironment(env = process.env) {
  /** @type {NodeJS.ProcessEnv} */
  const inner = {};
  for (const [name, value] of Object.entries(env)) {
    if (/^npm_(package|lifecycle|config_(once|json|gpu|yes|nats_port|redis_port|loglevel|omit)$)/.test(name))
      continue;
    inner[name] = value;
  }
  // Otherwise the runtime's install script goes looking for CUDA libraries, and fails where it finds no network.
  inner.ONNXRUNTIME_NODE_INSTALL = 'skip';
  return inner;
}

/**
 * One line for what went wrong.
 * @param {string} verb
 * @param {number} code
 * @param {string} output
 */
export function npmFault(verb, code, output) {
  const network = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/.exec(
    output,
  );
  if (network !== null)
    return `the packages could not be fetched: no connection to the npm registry (${network[1]}); check the network or the proxy, then try again`;
  if (code === 127) return 'the packages could not be installed: npm is not on the PATH';
  if (/\bENOSPC\b/.test(output)) return 'the packages could not be installed: the disk is full';
  if (/\b(EACCES|EPERM|EROFS)\b/.test(output))
    return 'the packages could not be installed: this user may not write to node_modules';
  if (/\bE40[13]\b/.test(output))
    return 'the packages could not be fetched: the npm registry refused access (see `npm config get registry`)';
  if (/\bEUSAGE\b/.test(output))
    return 'the packages could not be installed: package.json and package-lock.json disagree; run `npm install`';
  if (/\bEINTEGRITY\b/.test(output))
    return 'the packages could not be installed: a download is damaged; run `npm cache verify`, then try again';
  return `the packages could not be installed: npm ${verb} ended with code ${code}`;
}

/** @param {string} lockText */
function stampOf(lockText) {
  return `${platform} ${createHash('sha256').update(lockText).digest('hex')}`;
}

/**
 * Whether npm's record of what is installed has every package that the lock file must have, in its version.
 * @param {string} lockText
 * @param {string} installedText
 */
function sameVersions(lockText, installedText) {
  const wanted = parsePackages(lockText);
  const installed = parsePackages(installedText);
  if (wanted === undefined || installed === undefined) return false;
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') || entry.link === true) continue;
    const there = installed[path];
    if (there === undefined) {
      if (entry.optional === true || entry.peer === true) continue; // for other platforms, or left out by choice
      return false;
    }
    if (there.version !== entry.version || there.integrity !== entry.integrity) return false;
  }
  return true;
}

/**
 * @param {string} text
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, peer?: boolean,
 *   link?: boolean, bin?: Record<string, string> }> | undefined}
 */
function parsePackages(text) {
  try {
    return JSON.parse(text).packages;
  } catch {
    return undefined; // not JSON: as good as not there
  }
}

/**
 * Whether each command of our own packages whose file is there has its link.
 * @param {string} root
 * @param {string} lockText
 */
function linksThere(root, lockText) {
  for (const [path, entry] of Object.entries(parsePackages(lockText) ?? {})) {
    if (!path.startsWith('packages/')) continue;
    for (const [name, file] of Object.entries(entry.bin ?? {})) {
      if (existsSync(join(root, path, file)) && !existsSync(join(root, 'node_modules/.bin', name)))
        return false;
    }
  }
  return true;
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not there
  }
}
