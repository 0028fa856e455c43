/**
 * Owns installing the servers by apt-get, on systems that have it: as root, or by sudo where the user has agreed.
 * What the system's packages are too old for is found out before anything is installed. Called by setup.mjs for what
 * servers.mjs has not found. Nothing else is installed, and services are left as they were found.
 */
import { existsSync } from 'node:fs';
import { lastLines } from './fault.mjs';
import { findCommand, isAtLeast, minServerVersions } from './servers.mjs';
import { runTool } from './tool.mjs';

/**
 * @typedef {import('./servers.mjs').ServerName} ServerName
 * @typedef {object} Consent how the user may agree to what needs root
 * @property {boolean} [yes] has agreed beforehand
 * @property {(question: string) => Promise<boolean>} [ask] where somebody is there to be asked
 * @property {boolean} [isRoot] default: looked up
 */
/**
 * @typedef {{ outcome: 'installed', folders: readonly string[] }
 *   | { outcome: 'too-old', candidates: ReadonlyMap<ServerName, string | undefined> }
 *   | { outcome: 'failed', tool: string, reason: string, detail: string }
 *   | { outcome: 'not-done', why: 'no-tool' | 'no-right' | 'not-asked' | 'declined', line: string }} InstallOutcome
 *   `candidates`: versions that the packages have, `undefined` where there is no package; `line`: the install by hand
 */
/**
 * @typedef {import('./tool.mjs').ToolContext & Consent & { progress: import('./progress.mjs').Progress,
 *   policyPath?: string, systemdPath?: string, aptFolders?: readonly string[] }} AptContext
 */

/**
 * Run as root: installs the packages named as arguments. Both packages start a service as soon as they are installed,
 * on the very ports that the cluster wants; policy-rc.d is Debian's way to forbid that. One that is there already is
 * somebody's own, and obeyed. A service that was there before (an older release that is replaced) is not ours: it is
 * restarted as ever; those that this install has enabled for the next boot are disabled again.
 */
const installScript = `
policy=$1; systemd=$2; shift 2
made=; before=' '
if [ -d "$systemd" ]; then
  for unit in "$@"; do if systemctl cat "$unit" >/dev/null 2>&1; then before="$before$unit "; fi; done
fi
if [ ! -e "$policy" ] &&
  printf '#!/bin/sh\\ncase "%s" in *" $1 "*) exit 0;; esac\\nexit 101\\n' "$before" > "$policy"
then made=1; chmod 755 "$policy"; fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
trap 'exit 130' HUP INT TERM
apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || exit $?
if [ -d "$systemd" ]; then
  for unit in "$@"; do case "$before" in *" $unit "*) ;; *) systemctl disable --now "$unit" || true;; esac; done
fi
exit 0
`;

/**
 * @param {readonly ServerName[]} packages
 * @param {readonly string[]} folders where commands are looked for
 * @param {AptContext} context
 * @returns {Promise<InstallOutcome>}
 */
export async function installByApt(packages, folders, context) {
  const { progress, guard, signal } = context;
  const { policyPath = '/usr/sbin/policy-rc.d', systemdPath = '/run/systemd/system' } = context;
  const line = `sudo apt-get install ${packages.join(' ')}`;
  if (findCommand('apt-get', folders) === undefined) return { outcome: 'not-done', why: 'no-tool', line };

  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', PATH: folders.join(':') };
  const known = await readCandidates(packages, folders, { ...context, env });
  if (known?.tooOld === true) return { outcome: 'too-old', candidates: known.candidates };
  const root = await becomeRoot(packages, folders, context);
  if (typeof root === 'string') return { outcome: 'not-done', why: root, line };

  /** @param {string[]} words */
  const asRoot = (words) => {
    // sudo clears the environment, so what apt-get must know stands on the command line there.
    const all =
      root.length === 0
        ? words
        : [...root, 'env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C', `PATH=${env.PATH}`, ...words];
    const [command = '', ...args] = all;
    return runTool(command, args, { guard, signal, env, attached: true });
  };
  const install = () => asRoot(['/bin/sh', '-c', installScript, 'sh', policyPath, systemdPath, ...packages]);
  const update = () => asRoot(['apt-get', 'update', '-o', 'DPkg::Lock::Timeout=120']);

  return progress.step(`Installing ${packages.join(' and ')} by apt-get`, async () => {
    // The lists are fetched only where they are missing or out of date: on most machines neither is so.
    let before = '';
    if (known?.complete === false) {
      before = (await update()).output;
      const now = await readCandidates(packages, folders, { ...context, env });
      if (now !== undefined && (now.tooOld || !now.complete))
        return { outcome: 'too-old', candidates: now.candidates };
    }
    let result = listsThere() ? await install() : { code: 1, output: '' };
    if (result.code !== 0 && before === '') {
      before = (await update()).output;
      result = await install();
    }
    if (result.code === 0)
      return { outcome: 'installed', folders: context.aptFolders ?? ['/usr/sbin', '/usr/bin'] };
    const error = /^E: .*$/m.exec(result.output)?.[0] ?? `apt-get ended with code ${result.code}`;
    const detail = lastLines(`${before}\n${result.output}`);
    return { outcome: 'failed', tool: 'apt-get', reason: error.replace(/^E: /, ''), detail };
  });
}

/**
 * How root is reached: the words before a command, or why not. Asks the user where he has not agreed yet.
 * @param {readonly string[]} packages
 * @param {readonly string[]} folders
 * @param {AptContext} context
 * @returns {Promise<string[] | 'no-right' | 'not-asked' | 'declined'>}
 */
async function becomeRoot(packages, folders, context) {
  const { yes = false, ask } = context;
  if (context.isRoot ?? process.getuid?.() === 0) return [];
  const sudo = findCommand('sudo', folders);
  if (sudo === undefined) return 'no-right';
  if (!yes) {
    if (ask === undefined) return 'not-asked';
    if (!(await ask(`Install ${packages.join(' and ')} by sudo apt-get?`))) return 'declined';
  }
  /** @param {string[]} words */
  const succeeds = async (words) => (await runTool(sudo, words, { ...context, attached: true })).code === 0;
  if (await succeeds(['-n', '/bin/sh', '-c', ':'])) return [sudo, '-n'];
  // It asks for the password on the terminal itself, and remembers it for what follows.
  if (ask !== undefined && (await succeeds(['-v']))) return [sudo, '-n'];
  return 'no-right';
}

/**
 * The versions that apt-get would install, or undefined where there is no telling.
 * @param {readonly ServerName[]} packages
 * @param {readonly string[]} folders
 * @param {import('./tool.mjs').ToolContext & { env: NodeJS.ProcessEnv }} context
 * @returns {Promise<{ candidates: Map<ServerName, string | undefined>, tooOld: boolean, complete: boolean }
 *   | undefined>} `complete`: there is a version of each
 */
async function readCandidates(packages, folders, { guard, signal, env }) {
  const cache = findCommand('apt-cache', folders);
  if (cache === undefined) return undefined;
  const { code, output } = await runTool(cache, ['policy', ...packages], { guard, signal, env });
  if (code !== 0) return undefined;
  const candidates = new Map(packages.map((name) => [name, parseCandidate(name, output)]));
  return {
    candidates,
    tooOld: [...candidates].some(
      ([name, version]) => version !== undefined && !isAtLeast(version, minServerVersions[name]),
    ),
    complete: [...candidates.values()].every((version) => version !== undefined),
  };
}

/**
 * The release in `Candidate: 5:7.0.15-1~deb12u5` of a package's part of `apt-cache policy`.
 * @param {string} name
 * @param {string} output
 */
export function parseCandidate(name, output) {
  const part = output.split(/^(?=\S)/m).find((text) => text.startsWith(`${name}:`));
  return /^ +Candidate: (?:\d+:)?(\d+(?:\.\d+)*)/m.exec(part ?? '')?.[1];
}

function listsThere() {
  return existsSync('/var/lib/apt/lists') || existsSync('/var/cache/apt/pkgcache.bin');
}
