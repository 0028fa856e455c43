/**
 * The guard: a small process in a session of its own that outlives the launcher's sudden death. It owns nothing but a
 * list of charges and an open channel to the launcher. While the channel is open it does nothing; when it closes
 * without a word (SIGKILL, crash), it ends the charges in order and then itself. A terminal's signals do not reach it.
 *
 * Arguments: run id, then the files to remove in that case.
 */
import { rmSync } from 'node:fs';
import process from 'node:process';
import { endInOrder, sweepRun } from './processes.mjs';

/**
 * @typedef {{ kind: 'charge', charge: import('./processes.mjs').Charge }
 *   | { kind: 'release', pid: number }
 *   | { kind: 'dismiss' }} GuardMessage
 */

const [runId = '', ...files] = process.argv.slice(2);
/** @type {Map<number, import('./processes.mjs').Charge>} */
const charges = new Map();
let dismissed = false;

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

async function finish() {
  if (!dismissed) await endInOrder([...charges.values()]);
  if (runId !== '') await sweepRun(runId);
  if (!dismissed) for (const file of files) rmSync(file, { force: true });
  process.exit(0);
}
