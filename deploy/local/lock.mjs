/**
 * Owns lock files: who holds one is written in it (pid and start time), so that a dead holder's lock is taken over.
 * Used for set-up (others wait) and for the running cluster (others are told). Never leaves a half-written file.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Interrupted } from './fault.mjs';
import { identify, isAlive } from './processes.mjs';

/** @typedef {import('./processes.mjs').Identity & Record<string, unknown>} LockRecord */
/**
 * @typedef {object} Lock
 * @property {(facts: Record<string, unknown>) => void} update adds facts to the record
 * @property {() => void} release removes the file, if it is still ours
 */

let counter = 0;

/**
 * Takes the lock, or says who has it.
 * @param {string} path
 * @param {{ facts?: Record<string, unknown>, isHeld?: (record: LockRecord) => boolean }} [options] `isHeld` says
 *   whether a record is of somebody who still counts; by default: whose process is alive
 * @returns {{ lock: Lock, previous: LockRecord | undefined } | { holder: LockRecord }}
 */
export function tryLock(path, { facts = {}, isHeld = isAlive } = {}) {
  mkdirSync(dirname(path), { recursive: true });
  let text = JSON.stringify({ ...identify(process.pid), ...facts });
  /** @type {LockRecord | undefined} */
  let previous;

  // A link appears whole or not at all, and fails where the name is taken.
  const candidate = `${path}.${process.pid}.${counter++}`;
  writeFileSync(candidate, text);
  try {
    for (;;) {
      try {
        linkSync(candidate, path);
        break;
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
      }
      const found = readText(path);
      if (found === undefined) continue; // released in between
      const record = parseRecord(found);
      if (record !== undefined && isHeld(record)) return { holder: record };
      if (moveAway(path, found)) previous = record;
    }
  } finally {
    rmSync(candidate, { force: true });
  }

  return {
    previous,
    lock: {
      update(more) {
        if (readText(path) !== text) return;
        text = JSON.stringify({ ...JSON.parse(text), ...more });
        writeFileSync(candidate, text);
        renameSync(candidate, path);
      },
      release() {
        if (readText(path) === text) rmSync(path, { force: true });
      },
    },
  };
}

/**
 * Waits for the lock.
 * @param {string} path
 * @param {{ facts?: Record<string, unknown>, signal?: AbortSignal, onWait?: (holder: LockRecord) => void,
 *   pollMs?: number }} [options]
 * @returns {Promise<Lock>}
 */
export async function waitForLock(path, options = {}) {
  for (;;) {
    if (options.signal?.aborted === true) throw new Interrupted(String(options.signal.reason));
    const outcome = tryLock(path, options.facts === undefined ? {} : { facts: options.facts });
    if ('lock' in outcome) return outcome.lock;
    options.onWait?.(outcome.holder);
    await delay(options.pollMs ?? 200);
  }
}

/**
 * Takes a dead holder's file out of the way. Two may find the same one dead: the slower must not remove the lock that
 * the quicker has taken since, so it looks at what it has moved and puts a living one back.
 * @param {string} path
 * @param {string} expected
 */
function moveAway(path, expected) {
  const aside = `${path}.${process.pid}.${counter++}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return false; // somebody was quicker
  }
  const moved = readText(aside);
  try {
    if (moved === expected) return true;
    linkSync(aside, path);
  } catch {
    // The name is taken again: then a living holder is there, which is all that is asked.
  } finally {
    rmSync(aside, { force: true });
  }
  return false;
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not there
  }
}

/**
 * A record, or undefined for what nobody of ours has written: that counts as dead.
 * @param {string} text
 * @returns {LockRecord | undefined}
 */
function parseRecord(text) {
  try {
    const record = JSON.parse(text);
    return Number.isInteger(record?.pid) ? record : undefined;
  } catch {
    return undefined; // torn by a full disk or an editor
  }
}
