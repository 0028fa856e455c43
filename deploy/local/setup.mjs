/**
 * Owns the set-up that `npm start` and `npm test` share: packages, servers, build, in this order and under one lock, so
 * that two at once in a clean clone do not meet inside `npm ci`. Each step looks first and does nothing where nothing is
 * to do. Called by launch.mjs and run-tests.mjs.
 */
import { join } from 'node:path';
import { installByApt } from './apt.mjs';
import { ensureBuilt } from './build.mjs';
import { ensureCudaProvider } from './cuda-provider.mjs';
import { SetupFault } from './fault.mjs';
import { waitForLock } from './lock.mjs';
import { ensurePackages } from './packages.mjs';
import { findServer, minServerVersions, searchFolders, serverUrlVariables } from './servers.mjs';

/**
 * @typedef {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress }} SetupContext
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
 * @param {SetupContext & { path?: string, aptFolders?: readonly string[], isRoot?: boolean, policyPath?: string }} context
 *   `path`: in place of the PATH; `aptFolders`: where apt-get puts servers
 * @returns {Promise<Servers>}
 */
export async function ensureServers(needs, context) {
  const folders = searchFolders(context.path ?? process.env.PATH ?? '');
  /** @type {Servers} */
  const servers = {};
  /** @type {Map<ServerName, import('./servers.mjs').Server | undefined>} */
  const missing = new Map();
  for (const name of needs) {
    const { found, tooOld } = await findServer(name, folders, context);
    if (found === undefined) missing.set(name, tooOld);
    else servers[name] = found;
  }
  if (missing.size === 0) return servers;

  const outcome = await installByApt([...missing.keys()], folders, context);
  if (outcome.outcome !== 'installed') throw missingServers(missing, outcome);
  for (const name of missing.keys()) {
    const { found, tooOld } = await findServer(
      name,
      [...folders, ...(context.aptFolders ?? ['/usr/sbin', '/usr/bin'])],
      context,
    );
    if (found === undefined) missing.set(name, tooOld);
    else {
      servers[name] = found;
      missing.delete(name);
    }
  }
  if (missing.size > 0) throw missingServers(missing, outcome);
  return servers;
}

/**
 * The one line that says what is missing and how to get it.
 * @param {ReadonlyMap<ServerName, import('./servers.mjs').Server | undefined>} missing
 * @param {import('./apt.mjs').InstallOutcome} outcome
 */
function missingServers(missing, outcome) {
  const names = [...missing.keys()];
  const what = names
    .map((name) => {
      const old = missing.get(name);
      const need = `${minServerVersions[name]} or newer`;
      return old === undefined ? `${name} (${need})` : `${name} (${need}; ${old.path} is ${old.version})`;
    })
    .join(' and ');
  const own = `${names.map((name) => serverUrlVariables[name]).join(' and ')} to ${names.length > 1 ? 'servers' : 'a server'} of your own`;
  if (outcome.outcome === 'failed') {
    return new SetupFault(
      `${what} missing, and apt-get could not install: ${outcome.reason}; install by hand, or set ${own}`,
      { detail: outcome.detail },
    );
  }
  if (outcome.outcome === 'installed') {
    return new SetupFault(
      `${what} missing: this system's packages are too old; put a newer release on the PATH, or set ${own}`,
    );
  }
  return new SetupFault(
    `${what} missing, and there is no right to install here: run \`sudo apt-get install ${names.join(' ')}\`, or set ${own}`,
  );
}
