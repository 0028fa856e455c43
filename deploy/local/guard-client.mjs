/**
 * Owns the launcher's end of the guard (guard.mjs): starts it, tells it whom to end, sends it home. Should the guard
 * itself be killed, another one takes its place with the same charges.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { identify, runIdVariable, waitUntilGone } from './processes.mjs';

/** A guard that dies this often dies of something that another one will not survive either. */
const maxGuards = 20;
const guardPath = fileURLToPath(new URL('./guard.mjs', import.meta.url));

/**
 * @typedef {object} Guard
 * @property {() => import('./processes.mjs').Identity} identity
 * @property {(charge: import('./processes.mjs').Charge) => void} charge
 * @property {(pid: number) => void} release
 * @property {() => Promise<void>} dismiss when all charges are ended; resolves when the guard is gone
 */

/**
 * @param {{ runId: string, files?: readonly string[], lock?: string, onReplaced?: () => void }} options
 * @returns {Guard}
 */
export function startGuard({ runId, files = [], lock, onReplaced }) {
  /** @type {Map<number, import('./processes.mjs').Charge>} */
  const charges = new Map();
  let dismissed = false;
  let guardCount = 0;
  let child = spawnGuard();

  function spawnGuard() {
    guardCount += 1;
    const env = { ...process.env };
    // The guard outlives what carries a run's id, also that of a launch around this one.
    delete env[runIdVariable];
    /** @type {import('./guard.mjs').GuardTask} */
    const task = { runId, files, lock, charges: [...charges.values()] };
    const started = fork(guardPath, [JSON.stringify(task)], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env,
      execArgv: [],
    });
    started.on('error', () => {}); // a failed send: its 'exit' follows and is what counts
    started.on('exit', () => {
      if (dismissed || guardCount >= maxGuards) return;
      child = spawnGuard();
      onReplaced?.();
    });
    return started;
  }

  /** @param {import('./guard.mjs').GuardMessage} message */
  function send(message) {
    if (child.connected) child.send(message, () => {});
  }

  return {
    identity: () => identify(child.pid ?? 0),
    charge(charge) {
      charges.set(charge.pid, charge);
      send({ kind: 'charge', charge });
    },
    release(pid) {
      charges.delete(pid);
      send({ kind: 'release', pid });
    },
    async dismiss() {
      if (dismissed) return;
      dismissed = true;
      const gone = waitUntilGone(identify(child.pid ?? 0), 10_000);
      send({ kind: 'dismiss' });
      await gone;
    },
  };
}
