/**
 * Owns one long-running process of the cluster: starts it in a process group of its own with its output in a file,
 * waits until it is ready, and starts it again when it dies unasked. Used by cluster.mjs, which decides the order and
 * ends it.
 */
import { spawn } from 'node:child_process';
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Interrupted, lastLines, SetupFault } from './fault.mjs';
import { identify } from './processes.mjs';

const firstBackoffMs = 500;
const maxBackoffMs = 30_000;
/** A process that has lived this long starts with a clean slate. */
const settledMs = 60_000;
const maxLogBytes = 32 * 1024 * 1024;
const logCheckMs = 10_000;

/**
 * @typedef {object} ProcessPlan
 * @property {string} name
 * @property {string} command
 * @property {readonly string[]} args
 * @property {NodeJS.ProcessEnv} env
 * @property {string} logPath
 * @property {number} stage of the end: 0 ends first
 * @property {number} graceMs between SIGTERM and SIGKILL
 * @property {number} readyMs how long it may take to get ready
 * @property {(pid: number) => Promise<boolean>} [probe] is it ready? Without it, the process says so itself: by the
 *   line `ready` on the file descriptor named in TROUPE_READY_FD
 */
/**
 * @typedef {object} Supervisor
 * @property {string} name
 * @property {() => Promise<void>} start resolves when ready; throws SetupFault with the process's own words
 * @property {() => import('./processes.mjs').Charge | undefined} charge the process to end, once `retire` was called
 * @property {() => void} retire from now on its end is no surprise
 */

/**
 * @param {ProcessPlan} plan
 * @param {{ cwd: string, guard: import('./guard-client.mjs').Guard, tell: (text: string) => void,
 *   signal: AbortSignal }} context
 * @returns {Supervisor}
 */
export function createSupervisor(plan, { cwd, guard, tell, signal }) {
  /** @type {import('./processes.mjs').Charge | undefined} */
  let charge;
  let retired = false;
  let ready = false;
  let backoffMs = firstBackoffMs;
  /** @type {(() => void) | undefined} */
  let cancelRestart;

  const logTimer = setInterval(() => limitLog(plan.logPath), logCheckMs);
  logTimer.unref();

  function launch() {
    limitLog(plan.logPath);
    const log = openSync(plan.logPath, 'a', 0o600);
    const logStart = statSync(plan.logPath).size;
    const startedMs = performance.now();
    // Straight into the file: it outlives us, so that a process can drain and log after our death.
    const child = spawn(plan.command, plan.args, {
      cwd,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
      env: plan.probe === undefined ? { ...plan.env, TROUPE_READY_FD: '3' } : plan.env,
    });
    closeSync(log);
    const { pid } = child;
    if (pid !== undefined) {
      charge = { name: plan.name, stage: plan.stage, graceMs: plan.graceMs, ...identify(pid) };
      guard.charge(charge);
    }
    /** @type {string | undefined} */
    let exit;
    const ended = new Promise((/** @type {(how: string) => void} */ resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, by) => resolve(by === null ? `exit code ${code}` : by));
    });
    void ended.then((how) => {
      exit = how;
      if (pid !== undefined) guard.release(pid);
      if (retired || !ready) return;
      if (performance.now() - startedMs > settledMs) backoffMs = firstBackoffMs;
      again(how);
    });
    const readyPipe = child.stdio[3];
    readyPipe?.on('error', () => {}); // closed with the process, whose end is seen anyway
    return {
      ended,
      readyPipe,
      exitedWith: () => exit,
      output: () => readFrom(plan.logPath, logStart),
      pid: pid ?? 0,
    };
  }

  /** @param {string} how */
  function again(how) {
    tell(`${plan.name} has ended unasked (${how}): starting it again in ${backoffMs / 1_000} s`);
    ready = false;
    const timer = setTimeout(() => {
      start().then(
        () => tell(`${plan.name} is back`),
        (error) => {
          if (!retired) again(error.message);
        },
      );
    }, backoffMs);
    cancelRestart = () => clearTimeout(timer);
    backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
  }

  async function start() {
    if (signal.aborted) throw new Interrupted(String(signal.reason));
    const run = launch();
    const deadline = performance.now() + plan.readyMs;
    let saidReady = false;
    run.readyPipe?.on('data', (chunk) => {
      if (String(chunk).includes('ready')) saidReady = true;
    });
    for (;;) {
      if (signal.aborted) throw new Interrupted(String(signal.reason));
      const how = run.exitedWith();
      if (how !== undefined) throw startFault(how, run.output());
      if (saidReady || (await plan.probe?.(run.pid).catch(() => false)) === true) break;
      if (performance.now() > deadline)
        throw startFault(`not ready within ${plan.readyMs / 1_000} s`, run.output());
      await Promise.race([run.ended, delay(25)]);
    }
    ready = true;
    // It may have died between its last sign of life and this line.
    const how = run.exitedWith();
    if (how !== undefined && !retired) again(how);
  }

  /**
   * @param {string} how
   * @param {string} output
   */
  function startFault(how, output) {
    const own = output.split('\n').find((line) => line.startsWith('troupe: '));
    const text = own?.slice('troupe: '.length) ?? how;
    return new SetupFault(`${plan.name} did not start: ${text}`, {
      detail: own === undefined ? lastLines(output) : '',
    });
  }

  return {
    name: plan.name,
    start,
    charge: () => charge,
    retire() {
      retired = true;
      cancelRestart?.();
      clearInterval(logTimer);
    },
  };
}

/**
 * Keeps a log that runs full as `….1` and begins anew; the process goes on appending to the same file.
 * @param {string} path
 */
function limitLog(path) {
  try {
    if (statSync(path).size <= maxLogBytes) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  } catch {
    // not there yet
  }
}

/**
 * What was logged from an offset on, 64 KiB at most.
 * @param {string} path
 * @param {number} offset
 */
function readFrom(path, offset) {
  const buffer = Buffer.alloc(64 * 1024);
  const file = openSync(path, 'r');
  try {
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, offset));
  } finally {
    closeSync(file);
  }
}
