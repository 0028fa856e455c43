/**
 * A runner for supervision tests: a real process that speaks the IPC messages of `runner/main` and misbehaves as the
 * model's name says. Holds made-up messages; loads nothing.
 */
import { bookDescriptor, HoldingsBook } from '../../src/ipc/holdings-book.js';
import type { HeldMessage, LoneMessage, RunnerOrder, RunnerReport } from '../../src/ipc/runner-messages.js';

const report = (message: RunnerReport) => process.send?.(message);
const messageAt = (streamSequence: number, delivery = 1): HeldMessage => ({
  stream: 'TROUPE_WORK_x',
  consumer: 'v1',
  streamSequence,
  consumerSequence: streamSequence,
  delivery,
});
const lone = (delivery: number): LoneMessage => ({
  ...messageAt(7, delivery),
  replyTo: '_INBOX.caller',
  requestId: 'r7',
});

let behaviour = '';
let timer: NodeJS.Timeout | undefined;

function status(fields: Partial<Extract<RunnerReport, { kind: 'status' }>> = {}): void {
  report({
    kind: 'status',
    natsConnected: true,
    inFlight: 0,
    completed: 0,
    failed: 0,
    batches: 0,
    rows: 0,
    ...fields,
  });
}

const book = new HoldingsBook(bookDescriptor, (error) => process.stderr.write(String(error)));

function hold(messages: readonly HeldMessage[], released?: number): void {
  for (const message of messages) book.take(message, performance.now());
  if (released !== undefined) book.release(released);
  book.flush();
}

const crash = () => process.kill(process.pid, 'SIGSEGV');

function serve(): void {
  switch (behaviour) {
    case 'dies-holding':
      hold([messageAt(1), messageAt(2), messageAt(3)]);
      hold([], 2);
      crash();
      return;
    case 'dies-alone':
      hold([messageAt(7, 2)]);
      report({ kind: 'running_alone', message: lone(2) });
      crash();
      return;
    case 'dies-after-alone':
      hold([messageAt(7, 2)]);
      report({ kind: 'running_alone', message: lone(2) });
      report({ kind: 'running_alone', message: undefined });
      hold([messageAt(8)], 7);
      crash();
      return;
    case 'silent':
      hold([messageAt(1)]);
      clearInterval(timer);
      return;
    case 'endless-alone':
      hold([messageAt(7), messageAt(8)]);
      clearInterval(timer);
      timer = setInterval(() => status({ runningMs: 600, runningAlone: lone(1) }), 50);
      return;
    case 'endless-batch':
      hold([messageAt(7), messageAt(8)]);
      clearInterval(timer);
      timer = setInterval(() => status({ runningMs: 600 }), 50);
      return;
    default:
      return;
  }
}

process.on('message', (order: RunnerOrder) => {
  switch (order.kind) {
    case 'load':
      behaviour = order.spec.model;
      if (behaviour === 'dies-loading') crash();
      if (behaviour === 'mute') return;
      if (behaviour === 'refuses') {
        report({
          kind: 'load_failed',
          error: { error: 'no such operator', class: 'unavailable', reason: 'model.load_failed' },
        });
        return;
      }
      timer = setInterval(() => status(), 50);
      report({ kind: 'loaded', signature: order.spec.version.signature, loadMs: 1 });
      report({ kind: 'warmed' });
      return;
    case 'serve':
      serve();
      return;
    case 'drain':
      report({ kind: 'drained', handedBack: 0 });
      if (behaviour === 'stays') return;
      clearInterval(timer);
      process.channel?.unref();
      return;
    case 'cover':
    case 'uncover':
    case 'probation':
      return;
  }
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
