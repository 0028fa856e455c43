/**
 * Entry of the runner process, forked by its host, which has set the environment and owns the process: the host
 * decides when it ends, so signals from a terminal are left to it. Lives exactly as long as the IPC channel.
 */
import { packReport } from '../ipc/packed-holdings.js';
import type { RunnerOrder, RunnerReport } from '../ipc/runner-messages.js';
import { Runner } from './runner.js';

let runner: Runner | undefined;
let left = false;

function die(reason: string): void {
  // Not process.exit(): that aborts with a core dump where the session thread is inside a run.
  process.stderr.write(
    `${JSON.stringify({ level: 60, pid: process.pid, msg: `the runner ends: ${reason}` })}\n`,
  );
  process.kill(process.pid, 'SIGKILL');
}

function report(message: RunnerReport): void {
  if (!process.connected) return;
  process.send?.(packReport(message), (error: Error | null) => {
    // A channel that broke shows as 'disconnect', which ends the runner.
    if (error !== null && process.connected) die(`a report could not be sent: ${error.message}`);
  });
}

function obey(order: RunnerOrder): void {
  if (order.kind === 'load') {
    runner ??= new Runner(order.spec, { report, die, leave });
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
