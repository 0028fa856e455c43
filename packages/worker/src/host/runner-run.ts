/**
 * One life of a runner actor of the worker machine: fetch and verify the artifact, fork, pass orders and reports on,
 * tell the end. Stopping it kills the process; it restarts nothing.
 */
import {
  asTroupeError,
  type ClusterSettings,
  type Log,
  type ModelVersion,
  type NatsAccess,
  type Probation,
} from '@troupe/shared';
import type { HeldMessage, RunnerReport, RunnerSpec, RunnerStatus } from '../ipc/runner-messages.js';
import { LagWatch } from './lag-watch.js';
import type { GentlePlan } from './priority-trial.js';
import { repeatsOn } from './probation.js';
import { type HandBack, loadFailureText, type RunnerProcess, startRunnerProcess } from './runner-process.js';
import type { RunnerRegister } from './runner-register.js';
import type { SnapshotStore } from './snapshot-store.js';
import type { Suspects } from './suspects.js';
import type { RunnerInput, RunnerOrderEvent, WorkerEvent } from './worker-events.js';

/** What every runner of a host shares. */
export interface RunnerSurroundings {
  readonly host: string;
  readonly natsUrl: string;
  readonly natsAccess?: NatsAccess;
  readonly settings: ClusterSettings;
  readonly logLevel: string;
  readonly log: Log;
  readonly store: SnapshotStore;
  readonly handBack: HandBack;
  readonly register: RunnerRegister;
  /** Module that runners run; default this package's. */
  readonly runnerEntry?: URL;
  intraOpThreads(device: string): number;
  /** How a version on probation loads, so that it takes little from the one that serves. */
  loadGently(): GentlePlan;
}

/** How a runner ended, for people and the leader. */
export type RunnerNotice =
  | {
      readonly kind: 'died';
      readonly version: number;
      readonly reason: string;
      readonly handedBack: readonly HeldMessage[];
    }
  | { readonly kind: 'strike'; readonly message: HeldMessage; readonly reason: string };

/** Answers after which a version counts as proven, however short it has served. */
const provenCount = 100;

export interface RunnerRunObserver {
  started(process: RunnerProcess): void;
  ended(process: RunnerProcess): void;
  notice(notice: RunnerNotice): void;
  /** What its version is on probation for; `undefined` where it is not. */
  probation(): Probation | undefined;
  /** The first answer for a version that it was ordered to cover. */
  covered(version: number, answeredNs: bigint): void;
}

/** See the file's head. */
export class RunnerRun {
  readonly #input: RunnerInput;
  readonly #around: RunnerSurroundings;
  readonly #suspects: Suspects;
  readonly #tell: (event: WorkerEvent) => void;
  readonly #observer: RunnerRunObserver;
  #process: RunnerProcess | undefined;
  #stopped = false;
  #draining = false;
  #proven = false;
  readonly #lag = new LagWatch();
  /** The version that it was last ordered to cover. */
  #covered: ModelVersion | undefined;

  constructor(
    input: RunnerInput,
    around: RunnerSurroundings,
    suspects: Suspects,
    tell: (event: WorkerEvent) => void,
    observer: RunnerRunObserver,
  ) {
    this.#input = input;
    this.#around = around;
    this.#suspects = suspects;
    this.#tell = tell;
    this.#observer = observer;
  }

  start(): void {
    this.#run().catch((thrown: unknown) => {
      const reason = asTroupeError(thrown, 'model.load_failed').message;
      if (this.#stopped) return;
      this.#tell(
        this.#input.role === 'runner'
          ? { type: 'runner.load_failed', reason }
          : { type: 'standby.lost', reason },
      );
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#process?.kill();
  }

  order(order: RunnerOrderEvent): void {
    switch (order.type) {
      case 'order.serve':
        this.#process?.order({ kind: 'serve', credits: order.credits });
        return;
      case 'order.cover':
        this.#cover(order.version);
        return;
      case 'order.drain':
        this.#draining = true;
        this.#process?.order({
          kind: 'drain',
          boundMs: order.boundMs ?? this.#around.settings.drainBoundMs,
        });
        return;
    }
  }

  /** Covers a version, or is only ready to: others serve it. */
  #cover(version: ModelVersion | undefined): void {
    const covered = version ?? this.#covered;
    if (covered === undefined) return;
    this.#covered = covered;
    this.#process?.order({
      kind: 'cover',
      version: covered,
      mode: version === undefined ? 'ready' : 'active',
    });
  }

  async #run(): Promise<void> {
    const { model, version, device, role } = this.#input;
    const { log, settings, store } = this.#around;
    const modelPath = await store.ensure(model, version);
    if (this.#stopped) return;
    const process = startRunnerProcess({
      ...(this.#around.runnerEntry === undefined ? {} : { entry: this.#around.runnerEntry }),
      spec: this.#spec(modelPath),
      startMs: settings.runnerStartMs,
      silenceMs: settings.runnerSilenceMs,
      runLimitMs: version.limits.runLimitMs ?? settings.runLimitMs,
      handBack: this.#around.handBack,
      isOnProbation: () => this.#probation() !== undefined,
      register: this.#around.register,
      log,
      onReport: (report) => this.#hear(report),
    });
    this.#process = process;
    this.#observer.started(process);
    const end = await process.ended;
    this.#observer.ended(process);
    this.#suspects.add(
      end.handedBack.map(({ streamSequence }) => streamSequence),
      performance.now(),
    );
    const fields = { model, version: version.version, device, role, runnerPid: process.pid };
    if (end.strike !== undefined) {
      this.#observer.notice({ kind: 'strike', message: end.strike, reason: end.reason });
    }
    if (end.asked || (end.drained && this.#draining)) {
      log.debug({ ...fields, reason: end.reason }, 'runner ended');
    } else {
      log.warn({ ...fields, reason: end.reason, handedBack: end.handedBack.length }, 'runner died');
      this.#observer.notice({
        kind: 'died',
        version: version.version,
        reason: end.reason,
        handedBack: end.handedBack,
      });
    }
    if (this.#stopped) return;
    const reason = `its runner died: ${end.reason}`;
    if (end.drained && this.#draining) {
      this.#tell({ type: role === 'runner' ? 'runner.drained' : 'standby.drained' });
    } else if (role === 'runner') {
      this.#tell({ type: 'runner.died', reason, blameless: end.blameless });
    } else {
      this.#tell({ type: 'standby.lost', reason });
    }
  }

  #spec(modelPath: string): RunnerSpec {
    const { model, version, device, credits } = this.#input;
    const { settings } = this.#around;
    const probation = this.#probation();
    const gently = probation === undefined ? {} : this.#around.loadGently();
    const standby = repeatsOn(probation, version);
    return {
      namespace: settings.namespace,
      natsUrl: this.#around.natsUrl,
      ...(this.#around.natsAccess === undefined ? {} : { natsAccess: this.#around.natsAccess }),
      host: this.#around.host,
      model,
      version,
      device,
      modelPath,
      intraOpThreads: this.#around.intraOpThreads(device),
      ...gently,
      ...(standby === undefined ? {} : { standby }),
      credits,
      ackWaitMs: settings.ackWaitMs,
      queueLimit: version.limits.queueLimit ?? settings.queueLimit,
      streamBytes: settings.streamBytes,
      natsReplicas: settings.natsReplicas,
      logLevel: this.#around.logLevel,
      suspects: this.#suspects.list(performance.now()),
    };
  }

  /** Only the assigned version is on probation, not one that covers for it. */
  #probation(): Probation | undefined {
    return this.#input.role === 'runner' ? this.#observer.probation() : undefined;
  }

  #noteLag({ queuedMs = 0 }: RunnerStatus): void {
    if (this.#probation() === undefined) return;
    const change = this.#lag.note(queuedMs, performance.now());
    if (change !== undefined) this.#tell({ type: `runner.${change}` });
  }

  #hear(report: RunnerReport): void {
    if (this.#stopped) return;
    const isRunner = this.#input.role === 'runner';
    switch (report.kind) {
      case 'loaded':
        if (isRunner) this.#tell({ type: 'runner.loaded' });
        return;
      case 'warmed':
        this.#tell({ type: isRunner ? 'runner.warmed' : 'standby.warmed' });
        return;
      case 'load_failed': {
        const reason = loadFailureText(report);
        this.#tell(isRunner ? { type: 'runner.load_failed', reason } : { type: 'standby.lost', reason });
        return;
      }
      case 'status':
        if (isRunner && !this.#proven && report.completed >= provenCount) {
          this.#proven = true;
          this.#tell({ type: 'runner.proven' });
        }
        this.#noteLag(report);
        return;
      case 'covered':
        this.#observer.covered(report.version, BigInt(report.answeredNs));
        return;
      case 'drained':
      case 'running_alone':
        return;
    }
  }
}
