/**
 * Owns installing the servers by apt-get, on systems that have it and for users that may: root, or sudo without a
 * question. Called by setup.mjs for what servers.mjs has not found. Nothing of the distribution's own services is
 * started by it, and nothing else is installed.
 */
import { existsSync } from 'node:fs';
import { lastLines } from './fault.mjs';
import { findCommand } from './servers.mjs';
import { runTool } from './tool.mjs';

/**
 * Run as root: installs the packages named as arguments. Both packages start a service as soon as they are installed,
 * on the very ports that the cluster wants; policy-rc.d is Debian's way to forbid that. One that is there already is
 * somebody's own, and obeyed. Services that this install has enabled for the next boot are disabled again.
 */
const installScript = `
policy=$1; shift
made=
if [ ! -e "$policy" ] && printf '#!/bin/sh\\nexit 101\\n' > "$policy"; then made=1; chmod 755 "$policy"; fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
trap 'exit 130' HUP INT TERM
apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || exit $?
if [ -d /run/systemd/system ]; then for unit in "$@"; do systemctl disable --now "$unit" || true; done; fi
exit 0
`;

/**
 * How root is reached: the words before a command, or undefined where this user may not.
 * @param {readonly string[]} folders
 * @param {import('./tool.mjs').ToolContext & { isRoot?: boolean }} context
 * @returns {Promise<string[] | undefined>}
 */
export async function findRoot(folders, context) {
  if (context.isRoot ?? process.getuid?.() === 0) return [];
  const sudo = findCommand('sudo', folders);
  if (sudo === undefined) return undefined;
  const { code } = await runTool(sudo, ['-n', '/bin/sh', '-c', ':'], { ...context, attached: true });
  return code === 0 ? [sudo, '-n'] : undefined;
}

/**
 * @typedef {{ outcome: 'installed' } | { outcome: 'not-possible' }
 *   | { outcome: 'failed', reason: string, detail: string }} InstallOutcome
 */

/**
 * @param {readonly string[]} packages
 * @param {readonly string[]} folders where commands are looked for
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress, isRoot?: boolean,
 *   policyPath?: string }} context
 * @returns {Promise<InstallOutcome>}
 */
export async function installByApt(packages, folders, context) {
  const { progress, guard, signal, policyPath = '/usr/sbin/policy-rc.d' } = context;
  if (findCommand('apt-get', folders) === undefined) return { outcome: 'not-possible' };
  const root = await findRoot(folders, context);
  if (root === undefined) return { outcome: 'not-possible' };

  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', PATH: folders.join(':') };
  /** @param {string[]} words */
  const asRoot = (words) => {
    // sudo clears the environment, so what apt-get must know stands on the command line there.
    const line =
      root.length === 0
        ? words
        : [...root, 'env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C', `PATH=${env.PATH}`, ...words];
    const [command = '', ...args] = line;
    return runTool(command, args, { guard, signal, env, attached: true });
  };
  const install = () => asRoot(['/bin/sh', '-c', installScript, 'sh', policyPath, ...packages]);

  return progress.step(`Installing ${packages.join(' and ')} by apt-get`, async () => {
    // The lists are fetched only where they are missing or out of date: on most machines neither is so.
    let result = listsThere() ? await install() : { code: 1, output: '' };
    if (result.code !== 0) {
      const update = await asRoot(['apt-get', 'update', '-o', 'DPkg::Lock::Timeout=120']);
      result = await install();
      if (result.code !== 0) result.output = `${update.output}\n${result.output}`;
    }
    if (result.code === 0) return { outcome: 'installed' };
    const error = /^E: .*$/m.exec(result.output)?.[0] ?? `apt-get ended with code ${result.code}`;
    return { outcome: 'failed', reason: error.replace(/^E: /, ''), detail: lastLines(result.output) };
  });
}

function listsThere() {
  return existsSync('/var/lib/apt/lists') || existsSync('/var/cache/apt/pkgcache.bin');
}
