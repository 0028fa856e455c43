/**
 * Owns running a tool to its end (npm, tsc, apt-get): output kept for the case that it fails, ended with us, never
 * asked anything. Used by the steps of set-up.
 */
import { spawn } from 'node:child_process';
import { Interrupted } from './fault.mjs';
import { endCharge, identify } from './processes.mjs';

/** Output that is kept: the end of it. */
const keptCharacters = 256 * 1024;

/**
 * @typedef {object} ToolContext
 * @property {import('./guard-client.mjs').Guard | undefined} guard
 * @property {AbortSignal} signal
 */

/**
 * Runs it in a process group of its own, watched by the guard: whoever ends us ends it.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ToolContext & { cwd?: string, env?: NodeJS.ProcessEnv, attached?: boolean, graceMs?: number }} options
 *   `attached`: stay in our process group and session, out of the guard's hands (sudo knows its user by the terminal,
 *   and a package manager is better finished than killed)
 * @returns {Promise<{ code: number, output: string }>} code 127 where there is no such command
 */
export async function runTool(command, args, options) {
  const { guard, signal, attached = false, graceMs = 5_000 } = options;
  if (signal.aborted) throw new Interrupted(String(signal.reason));
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: !attached,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-keptCharacters);
    });
  }
  const ended = new Promise((/** @type {(code: number) => void} */ resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
  const { pid } = child;
  if (pid === undefined) return { code: await ended, output };

  const charge = { name: command, stage: 0, graceMs, ...identify(pid) };
  const onAbort = () => {
    if (attached) child.kill('SIGTERM');
    else void endCharge(charge);
  };
  if (!attached) guard?.charge(charge);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const code = await ended;
    if (signal.aborted) throw new Interrupted(String(signal.reason));
    return { code, output };
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!attached) guard?.release(pid);
  }
}
