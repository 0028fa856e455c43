/**
 * Owns installing the servers by Homebrew, on macOS. Called by setup.mjs for what servers.mjs has not found. Homebrew
 * starts no service by itself, and none is started or stopped here.
 */
import { dirname } from 'node:path';
import { lastLines } from './fault.mjs';
import { findCommand } from './servers.mjs';
import { runTool } from './tool.mjs';

/** Where Homebrew puts itself on Apple's own processors and on Intel's, whatever the PATH says. */
const homes = ['/opt/homebrew/bin', '/usr/local/bin'];

const formulas = /** @type {const} */ ({ 'nats-server': 'nats-server', 'redis-server': 'redis' });

/**
 * @param {readonly import('./servers.mjs').ServerName[]} names
 * @param {readonly string[]} folders where commands are looked for
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress,
 *   brewFolders?: readonly string[] }} context `brewFolders`: in place of Homebrew's usual ones
 * @returns {Promise<import('./apt.mjs').InstallOutcome>}
 */
export async function installByBrew(names, folders, { progress, guard, signal, brewFolders = homes }) {
  const words = ['install', ...names.map((name) => formulas[name])];
  const line = `brew ${words.join(' ')}`;
  const brew = findCommand('brew', [...folders, ...brewFolders]);
  if (brew === undefined) return { outcome: 'not-done', why: 'no-tool', line };
  const env = { ...process.env, NONINTERACTIVE: '1', HOMEBREW_NO_ENV_HINTS: '1' };
  const { code, output } = await progress.step(`Installing ${names.join(' and ')} by Homebrew`, () =>
    runTool(brew, words, { guard, signal, env, attached: true }),
  );
  if (code === 0) return { outcome: 'installed', folders: [dirname(brew)] };
  const reason = /^Error: (.*)$/m.exec(output)?.[1] ?? `brew ended with code ${code}`;
  return { outcome: 'failed', tool: 'Homebrew', reason, detail: lastLines(output) };
}
