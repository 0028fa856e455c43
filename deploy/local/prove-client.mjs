/**
 * Owns the launcher's end of the proof: runs prove.mjs as a process of its own, shows what it does, and hands its result
 * back. The launcher so loads none of Troupe's code, and Ctrl-C ends a proof at any moment.
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Interrupted, lastLines, SetupFault } from './fault.mjs';
import { endCharge, identify } from './processes.mjs';

const provePath = fileURLToPath(new URL('./prove.mjs', import.meta.url));
const limitMs = 300_000;

/**
 * @param {{ root: string, env: NodeJS.ProcessEnv, guard: import('./guard-client.mjs').Guard, signal: AbortSignal,
 *   progress: import('./progress.mjs').Progress }} context
 * @returns {Promise<import('./prove.mjs').ProofResult>}
 */
export async function runProof({ root, env, guard, signal, progress }) {
  if (signal.aborted) throw new Interrupted(String(signal.reason));
  return progress.step('Proving it on 150 iris flowers', async (update) => {
    const child = fork(provePath, [join(root, 'deploy/models')], {
      cwd: root,
      env,
      detached: true,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const { pid } = child;
    if (pid === undefined) throw new SetupFault('the proof could not be started: no process could be made');
    const charge = { name: 'proof', stage: 0, graceMs: 500, ...identify(pid) };
    guard.charge(charge);
    const end = () => void endCharge(charge);
    const timer = setTimeout(end, limitMs);
    signal.addEventListener('abort', end, { once: true });

    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors = (errors + chunk).slice(-16_384);
    });
    /** @type {import('./prove.mjs').ProofResult | undefined} */
    let result;
    /** @type {string | undefined} */
    let fault;
    child.on('message', (/** @type {import('./prove.mjs').ProofMessage} */ message) => {
      if (message.kind === 'step') update(message.text);
      else if (message.kind === 'result') result = message.result;
      else fault = message.text;
    });
    try {
      await new Promise((resolve) => {
        child.once('error', resolve);
        child.once('close', resolve);
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      guard.release(pid);
    }
    if (signal.aborted) throw new Interrupted(String(signal.reason));
    if (result !== undefined) return result;
    throw new SetupFault(`the proof failed: ${fault ?? 'it ended without a result'}`, {
      detail: lastLines(errors),
    });
  });
}
