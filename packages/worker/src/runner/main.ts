/**
 * Entry of the runner process, forked by its host, which has set the environment and owns the process: the host
 * decides when it ends, so signals from a terminal are left to it. Lives exactly as long as the IPC channel.
 */
import { bookDescriptor, HoldingsBook } from '../ipc/holdings-book.js';
import type { RunnerOrder, RunnerReport } from '../ipc/runner-messages.js';
import { Runner } from './runner.js';

let runner: Runner | undefined;
let left = false;
/** Without it what this process held comes again after `ack_wait`: no reason to stop. */
const book = new HoldingsBook(bookDescriptor, (error) =>
  say(40, `holdings are not recorded any more: ${String(error)}`),
);

function say(level: number, msg: string): void {
  process.stderr.write(`${JSON.stringify({ level, pid: process.pid, msg })}\n`);
}

function die(reason: string): void {
  // Not process.exit(): that aborts with a core dump where the session thread is inside a run.
  say(60, `the runner ends: ${reason}`);
  process.kill(process.pid, 'SIGKILL');
}

function report(message: RunnerReport): void {
  if (!process.connected) return;
  process.send?.(message, (error: Error | null) => {
    // A channel that broke shows as 'disconnect', which ends the runner.
    if (error !== null && process.connected) die(`a report could not be sent: ${error.message}`);
  });
}

function obey(order: RunnerOrder): void {
  if (order.kind === 'load') {
    runner ??= new Runner(order.spec, { book, report, die, leave });
    runner.load().catch((thrown: unknown) => die(`loading failed: ${String(thrown)}`));
    return;
  }
  switch (order.kind) {
    case 'serve':
      runner?.serve(order.credits);
      return;
    case 'cover':
      runner?.cover(order.version, order.mode);
      return;
    case 'uncover':
      runner?.uncover(order.version);
      return;
    case 'probation':
      runner?.probation(order.standby);
      return;
    case 'drain':
      if (runner === undefined) leave();
      else runner.drain(order.boundMs).catch((thrown: unknown) => die(`draining failed: ${String(thrown)}`));
      return;
  }
}

/** The channel stays open until the process is gone: its host reads from that how it ended. */
function leave(): void {
  left = true;
  process.channel?.unref();
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => undefined); // the host drains, then orders
}
process.on('uncaughtException', (thrown) =>
  die(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)),
);
process.on('message', (order: RunnerOrder) => obey(order));
process.on('disconnect', () => {
  if (left || runner === undefined) die('its host is gone');
  else runner.orphaned().catch((thrown: unknown) => die(String(thrown)));
});
