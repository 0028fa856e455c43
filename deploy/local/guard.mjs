/**
 * The guard: a small process in a session of its own that outlives the launcher's sudden death. It owns nothing but a
 * list of charges and an open channel to the launcher. While the channel is open it does nothing; when it closes
 * without a word (SIGKILL, crash), it ends the charges in order and then itself. A terminal's signals do not reach it.
 *
 * Argument: GuardTask as JSON.
 */
import { readFileSync, rmSync } from 'node:fs';
import process from 'node:process';
import { endInOrder, sweepRun } from './processes.mjs';

/**
 * @typedef {{ kind: 'charge', charge: import('./processes.mjs').Charge }
 *   | { kind: 'release', pid: number }
 *   | { kind: 'dismiss' }} GuardMessage
 */

/**
 * What a guard knows from its first moment on. Charges stand here as well as in messages, for a guard that takes another
 * one's place: the launcher may die before the new one has read a message.
 * `lock` is the file that says whose `files` are: the next start may have taken it while this guard came up.
 * @typedef {{ runId: string, files: readonly string[], lock: string | undefined,
 *   charges: import('./processes.mjs').Charge[] }} GuardTask
 */

/** @type {GuardTask} */
const { runId, files, lock, charges: firstCharges } = JSON.parse(process.argv[2] ?? '');
const charges = new Map(firstCharges.map((charge) => [charge.pid, charge]));
/** Nobody is left who waits for the rest of a long drain. */
const maxGraceMs = 10_000;
let dismissed = false;
let finishing = false;

// Whoever wants the guard gone ends the launcher: it goes when its work is done, and not before.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => {});

process.on('message', (/** @type {GuardMessage} */ message) => {
  if (message.kind === 'charge') charges.set(message.charge.pid, message.charge);
  else if (message.kind === 'release') charges.delete(message.pid);
  else {
    dismissed = true;
    process.disconnect();
  }
});

process.on('disconnect', () => {
  void finish();
});
// The launcher may have died before there was anybody to hear the event.
if (process.connected !== true) void finish();

async function finish() {
  if (finishing) return;
  finishing = true;
  if (!dismissed) {
    const left = [...charges.values()];
    await endInOrder(left.map((charge) => ({ ...charge, graceMs: Math.min(charge.graceMs, maxGraceMs) })));
  }
  await sweepRun(runId);
  if (!dismissed && lock !== undefined && isOurs(lock)) {
    for (const file of [...files, lock]) rmSync(file, { force: true });
  }
  process.exit(0);
}

/** @param {string} path */
function isOurs(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).runId === runId;
  } catch {
    // Gone, or nothing that a start has written.
    return false;
  }
}
