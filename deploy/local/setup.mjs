/**
 * Owns the set-up that `npm start` and `npm test` share: packages, servers, build, in this order and under one lock, so
 * that two at once in a clean clone do not meet inside `npm ci`. Each step looks first and does nothing where nothing is
 * to do. Called by launch.mjs and run-tests.mjs.
 */
import { join } from 'node:path';
import { installByApt } from './apt.mjs';
import { installByBrew } from './brew.mjs';
import { ensureBuilt } from './build.mjs';
import { ensureCudaProvider } from './cuda-provider.mjs';
import { waitForLock } from './lock.mjs';
import { missingServers } from './missing-servers.mjs';
import { ensurePackages } from './packages.mjs';
import { findServer, searchFolders } from './servers.mjs';

/**
 * @typedef {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress }
 *   & import('./apt.mjs').Consent} SetupContext
 * @typedef {import('./servers.mjs').ServerName} ServerName
 * @typedef {Partial<Record<ServerName, import('./servers.mjs').Server>>} Servers
 */

/**
 * @param {string} root the clone
 * @param {SetupContext & { needs: readonly ServerName[], gpu?: boolean }} context `needs`: the servers that are to be
 *   started; `gpu`: the CUDA provider is needed, too
 * @returns {Promise<Servers>}
 */
export async function ensureSetUp(root, context) {
  const lock = await takeSetupLock(root, context);
  try {
    // The servers first: what is missing there is found out in a moment, the packages take minutes.
    const servers = await ensureServers(context.needs, context);
    await ensurePackages(root, context);
    if (context.gpu === true) await ensureCudaProvider(root, context);
    await ensureBuilt(root, context);
    return servers;
  } finally {
    lock.release();
  }
}

/**
 * @param {string} root
 * @param {SetupContext} context
 */
async function takeSetupLock(root, { progress, signal }) {
  return progress.step('Waiting for another set-up of this clone', (update) =>
    waitForLock(join(root, '.troupe/setup.lock'), {
      signal,
      onWait: (holder) => update(`Waiting for another set-up of this clone (process ${holder.pid})`),
    }),
  );
}

/**
 * Finds the servers, or installs those that are missing.
 * @param {readonly ServerName[]} needs
 * @param {SetupContext & import('./apt.mjs').AptContext & { path?: string, platform?: string,
 *   brewFolders?: readonly string[] }} context `path`: in place of the PATH
 * @returns {Promise<Servers>}
 */
export async function ensureServers(needs, context) {
  const folders = searchFolders(context.path ?? process.env.PATH ?? '');
  /** @type {Servers} */
  const servers = {};
  /** @type {Map<ServerName, import('./servers.mjs').Server | undefined>} */
  const missing = new Map();
  /** @param {readonly ServerName[]} names @param {readonly string[]} where */
  const look = async (names, where) => {
    for (const name of names) {
      const { found, tooOld } = await findServer(name, where, context);
      if (found === undefined) missing.set(name, tooOld);
      else {
        servers[name] = found;
        missing.delete(name);
      }
    }
  };
  await look(needs, folders);
  if (missing.size === 0) return servers;

  const install = (context.platform ?? process.platform) === 'darwin' ? installByBrew : installByApt;
  const outcome = await install([...missing.keys()], folders, context);
  if (outcome.outcome === 'installed') await look([...missing.keys()], [...folders, ...outcome.folders]);
  if (missing.size > 0) throw missingServers(missing, outcome);
  return servers;
}
