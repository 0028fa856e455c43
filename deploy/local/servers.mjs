/**
 * Owns finding nats-server and redis-server: which versions serve, and where they are looked for. Installs nothing
 * (apt.mjs does). Called by setup.mjs.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { runTool } from './tool.mjs';

/**
 * @typedef {'nats-server' | 'redis-server'} ServerName
 * @typedef {{ name: ServerName, path: string, version: string }} Server
 */

/** Oldest versions that have what Troupe uses. */
export const minServerVersions = /** @type {const} */ ({ 'nats-server': '2.9.10', 'redis-server': '7.0.0' });

/** Environment name under which a server of the user's own may be given instead. */
export const serverUrlVariables = /** @type {const} */ ({
  'nats-server': 'NATS_URL',
  'redis-server': 'REDIS_URL',
});

/**
 * Folders to look in: the PATH, and the sbin beside each bin on it. Debian puts nats-server in /usr/sbin, which an
 * ordinary user's PATH lacks.
 * @param {string} path
 */
export function searchFolders(path) {
  const folders = path.split(delimiter).filter((folder) => folder.startsWith('/'));
  const siblings = folders
    .filter((folder) => /\/bin\/?$/.test(folder))
    .map((folder) => join(dirname(folder), 'sbin'));
  return [...new Set([...folders, ...siblings])];
}

/**
 * The version that `nats-server --version` or `redis-server --version` prints.
 * @param {ServerName} name
 * @param {string} output
 */
export function parseServerVersion(name, output) {
  const pattern = name === 'nats-server' ? /nats-server:\s*v?(\d+\.\d+\.\d+)/i : /\bv=(\d+\.\d+\.\d+)/;
  return pattern.exec(output)?.[1];
}

/**
 * Is `version` at least `min`? Compares number by number.
 * @param {string} version
 * @param {string} min
 */
export function isAtLeast(version, min) {
  const a = version.split('.').map(Number);
  const b = min.split('.').map(Number);
  for (let i = 0; i < b.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/**
 * The first one in the folders that is new enough; else the newest that is not, as `tooOld`.
 * @param {ServerName} name
 * @param {readonly string[]} folders
 * @param {import('./tool.mjs').ToolContext} context
 * @returns {Promise<{ found?: Server, tooOld?: Server }>}
 */
export async function findServer(name, folders, context) {
  /** @type {Server | undefined} */
  let tooOld;
  for (const folder of folders) {
    const path = join(folder, name);
    if (!isExecutable(path)) continue;
    const { output } = await runTool(path, ['--version'], context);
    const version = parseServerVersion(name, output);
    if (version === undefined) continue; // does not run here, or is something else by that name
    const server = { name, path, version };
    if (isAtLeast(version, minServerVersions[name])) return { found: server };
    if (tooOld === undefined || !isAtLeast(tooOld.version, version)) tooOld = server;
  }
  return tooOld === undefined ? {} : { tooOld };
}

/**
 * Path of a command on the PATH, or undefined.
 * @param {string} name
 * @param {readonly string[]} folders
 */
export function findCommand(name, folders) {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not ours to run
  }
}
