/**
 * What a host is to a runner, for tests: forks it as a host does, orders over IPC, keeps what it reports. Every
 * runner started here is ended by `stop()`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { childEnvironment } from '@troupe/shared';
import { builtEntry } from '../../../../test/harness/built.js';
import { closeBook, openBook, readBook } from '../../src/ipc/holdings-book.js';
import type {
  HeldMessage,
  RunnerOrder,
  RunnerReport,
  RunnerSpec,
  RunnerStatus,
} from '../../src/ipc/runner-messages.js';

const runnerEntry = builtEntry(new URL('../../src/runner/main.ts', import.meta.url));

export class StandInHost {
  readonly child: ChildProcess;
  readonly reports: RunnerReport[] = [];
  readonly #book = openBook();
  #lastHeld: readonly HeldMessage[] | undefined;
  status: RunnerStatus | undefined;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(spec: RunnerSpec) {
    this.child = fork(runnerEntry, {
      execArgv: ['--expose-gc'],
      env: childEnvironment({ ORT_DISABLE_TELEMETRY: '1', MALLOC_MMAP_THRESHOLD_: '131072' }),
      detached: true, // its share of the processor is that of its session
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', this.#book],
    });
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
    this.child.on('message', (message) => this.#receive(message as RunnerReport));
    this.child.on('error', () => undefined); // an order to a runner that has died
    this.order({ kind: 'load', spec });
  }

  /** What it holds, as its book says, or held when it was stopped. */
  get held(): readonly HeldMessage[] {
    return this.#lastHeld ?? readBook(this.#book).map(({ message }) => message);
  }

  order(order: RunnerOrder): void {
    this.child.send(order);
  }

  /** The first report of a kind, `undefined` until it came. */
  first<K extends RunnerReport['kind']>(kind: K): Extract<RunnerReport, { kind: K }> | undefined {
    return this.reports.find((report): report is Extract<RunnerReport, { kind: K }> => report.kind === kind);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.exited;
    if (this.#lastHeld !== undefined) return;
    this.#lastHeld = this.held;
    closeBook(this.#book);
  }

  #receive(report: RunnerReport): void {
    if (report.kind === 'status') this.status = report;
    else this.reports.push(report);
  }
}
