/** Owns what is said where a server is missing and could not be installed: one line, with what to do. Pure. */
import { SetupFault } from './fault.mjs';
import { isAtLeast, minServerVersions, serverUrlVariables } from './servers.mjs';

/**
 * @typedef {import('./servers.mjs').ServerName} ServerName
 * @typedef {import('./servers.mjs').Server} Server
 */

/** Where releases are that a system's own packages do not have yet. */
const newerReleases = /** @type {const} */ ({
  'nats-server': 'https://github.com/nats-io/nats-server/releases',
  'redis-server': "Redis' own apt repository, https://packages.redis.io",
});

/**
 * @param {ReadonlyMap<ServerName, Server | undefined>} missing with what was found and is too old
 * @param {import('./apt.mjs').InstallOutcome} outcome
 */
export function missingServers(missing, outcome) {
  const names = [...missing.keys()];
  const what = `${names.map((name) => shown(name, missing.get(name))).join(' and ')} missing`;
  const own = `set ${ownServers(names)}`;
  switch (outcome.outcome) {
    case 'failed':
      return new SetupFault(
        `${what}, and ${outcome.tool} could not install: ${outcome.reason}; install by hand, or ${own}`,
        { detail: outcome.detail },
      );
    case 'too-old':
      return tooOld(outcome.candidates);
    case 'installed':
      return new SetupFault(
        `${what}: this system's packages are too old; newer: ${newer(names)}; put one on the PATH, or ${own}`,
      );
    case 'not-done': {
      const run = `\`${outcome.line}\``;
      const way = {
        'no-tool': outcome.line.startsWith('brew')
          ? `, and there is no Homebrew (https://brew.sh): install it and run ${run}, or ${own}`
          : `, and there is no apt-get here: install them by your system's packages, or ${own}`,
        'no-right': `, and there is no right to install here: run ${run}, or ${own}`,
        'not-asked': `, and nobody is here to be asked: run ${run}, start with --yes, or ${own}`,
        declined: `: run ${run} yourself, or ${own}`,
      }[outcome.why];
      return new SetupFault(`${what}${way}`);
    }
  }
}

/**
 * Before anything was installed: which packages are too old, and where newer ones are.
 * @param {ReadonlyMap<ServerName, string | undefined>} candidates
 */
function tooOld(candidates) {
  const bad = [...candidates].filter(([name, version]) => version === undefined || isOld(name, version));
  const names = bad.map(([name]) => name);
  const what = bad
    .map(([name, version]) =>
      version === undefined
        ? `this system has no package ${name}`
        : `this system's package ${name} is ${version}, and Troupe needs ${minServerVersions[name]} or newer`,
    )
    .join('; ');
  return new SetupFault(`${what}; newer: ${newer(names)}; install from there, or set ${ownServers(names)}`);
}

/**
 * @param {ServerName} name
 * @param {string} version
 */
function isOld(name, version) {
  return !isAtLeast(version, minServerVersions[name]);
}

/**
 * @param {ServerName} name
 * @param {Server | undefined} old
 */
function shown(name, old) {
  const need = `${minServerVersions[name]} or newer`;
  return old === undefined ? `${name} (${need})` : `${name} (${need}; ${old.path} is ${old.version})`;
}

/** @param {readonly ServerName[]} names */
function newer(names) {
  return names.map((name) => newerReleases[name]).join(', ');
}

/** @param {readonly ServerName[]} names */
function ownServers(names) {
  const variables = names.map((name) => serverUrlVariables[name]).join(' and ');
  return `${variables} to ${names.length > 1 ? 'servers' : 'a server'} of your own`;
}
