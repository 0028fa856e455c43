/**
 * Owns what we know about processes that are not our own children any more: who is alive, and how one is ended for
 * certain. Used by the launcher, the guard and the locks. A pid alone is no name, since it is used again: with its
 * start time it is.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * @typedef {object} Identity
 * @property {number} pid
 * @property {string | undefined} startedAt clock ticks since boot; undefined where the system has no /proc
 */
/**
 * Something to be ended, in order of stages: stage 0 first, the next one when all of it is gone.
 * @typedef {object} Charge
 * @property {string} name
 * @property {number} pid leader of a process group of its own
 * @property {string | undefined} startedAt
 * @property {number} stage
 * @property {number} graceMs between SIGTERM and SIGKILL
 */

/** Variable that every process of one launch carries, so that none is lost sight of. */
export const runIdVariable = 'TROUPE_RUN_ID';

const pollMs = 20;

/**
 * State and start time, or undefined where there is no such process (or no /proc).
 * @param {number | 'self'} pid
 */
function readStat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold blanks and brackets itself, so fields are counted from its end.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startedAt: fields[19] };
  } catch {
    return undefined; // gone, or not Linux: the callers tell the two apart
  }
}

const hasProc = readStat('self') !== undefined;

/**
 * @param {number} pid
 * @returns {Identity}
 */
export function identify(pid) {
  return { pid, startedAt: readStat(pid)?.startedAt };
}

/**
 * True while this very process runs. A zombie is dead: in a container nobody may ever reap it.
 * @param {Identity} identity
 */
export function isAlive({ pid, startedAt }) {
  if (hasProc) {
    const stat = readStat(pid);
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return false;
    return startedAt === undefined || stat.startedAt === startedAt;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Sends a signal; false where there is nobody (any more) to get it. A negative pid means a process group.
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
export function sendSignal(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false; // gone in between, which is what was wanted
  }
}

/**
 * Waits until the process is gone; false where it is still there at the end.
 * @param {Identity} identity
 * @param {number} limitMs
 */
export async function waitUntilGone(identity, limitMs) {
  const end = performance.now() + limitMs;
  while (isAlive(identity)) {
    if (performance.now() >= end) return false;
    await delay(pollMs);
  }
  return true;
}

/**
 * SIGTERM to the process alone (its children are its own to end in order), then SIGKILL to its whole group.
 * @param {Charge} charge
 * @param {AbortSignal} [hurry] cuts the grace short
 */
export async function endCharge(charge, hurry) {
  if (isAlive(charge)) {
    sendSignal(charge.pid, 'SIGTERM');
    const end = performance.now() + charge.graceMs;
    while (isAlive(charge) && performance.now() < end && hurry?.aborted !== true) await delay(pollMs);
  }
  sendSignal(-charge.pid, 'SIGKILL');
  await waitUntilGone(charge, 5_000);
}

/**
 * Ends everything, stage by stage.
 * @param {readonly Charge[]} charges
 * @param {{ hurry?: AbortSignal, onStage?: (names: string[]) => void }} [options]
 */
export async function endInOrder(charges, options = {}) {
  const stages = [...new Set(charges.map((charge) => charge.stage))].sort((a, b) => a - b);
  for (const stage of stages) {
    const members = charges.filter((charge) => charge.stage === stage);
    options.onStage?.(members.map((charge) => charge.name));
    await Promise.all(members.map((charge) => endCharge(charge, options.hurry)));
  }
}

/**
 * Processes that carry the run's id, ours excepted. Empty where the system has no /proc.
 * @param {string} runId
 * @returns {number[]}
 */
export function findByRunId(runId) {
  if (!hasProc) return [];
  const wanted = `${runIdVariable}=${runId}`;
  const found = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(wanted)) continue;
    } catch {
      continue; // gone in between, or somebody else's
    }
    if (isAlive({ pid, startedAt: undefined })) found.push(pid);
  }
  return found;
}

/**
 * Kills whatever still carries the run's id: what a stage left behind, or what was started in its last moment.
 * @param {string} runId
 * @param {number} [limitMs]
 */
export async function sweepRun(runId, limitMs = 5_000) {
  const end = performance.now() + limitMs;
  for (;;) {
    const left = findByRunId(runId);
    if (left.length === 0 || performance.now() >= end) return left;
    for (const pid of left) sendSignal(pid, 'SIGKILL');
    await delay(pollMs);
  }
}
