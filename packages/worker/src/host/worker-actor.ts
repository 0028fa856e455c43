/**
 * A worker: the machine run over real runner processes and the real store. Made and dropped by the host; knows
 * nothing of slots, leases or the leader.
 */
import {
  type Assignment,
  chargeMemory,
  estimateMemory,
  type ModelVersion,
  type WorkerReport,
  type WorkerState,
} from '@troupe/shared';
import { type Actor, createActor, fromCallback } from 'xstate';
import { createDeferred } from '../onnx/deferred.js';
import { readMemoryBytes } from '../onnx/process-memory.js';
import type { RunnerProcess } from './runner-process.js';
import { type RunnerNotice, RunnerRun, type RunnerSurroundings } from './runner-run.js';
import { acceptsSignature } from './signature-accepts.js';
import { Suspects } from './suspects.js';
import type { RunnerInput, RunnerOrderEvent, WorkerEvent } from './worker-events.js';
import {
  createWorkerMachine,
  servingVersionOf,
  type WorkerMachine,
  type WorkerSnapshot,
  workerStateOf,
} from './worker-machine.js';

/** Something that happened to a worker, for people and the leader. */
export type WorkerNotice =
  | { readonly kind: 'state'; readonly from: WorkerState | undefined; readonly to: WorkerState }
  | { readonly kind: 'stopped' }
  | RunnerNotice;

/** What every worker of a host shares. */
export interface WorkerSurroundings extends RunnerSurroundings {
  /** Must not throw. */
  notice(worker: Worker, notice: WorkerNotice): void;
}

/** A worker of the host. */
export interface Worker {
  readonly key: string;
  readonly model: string;
  readonly version: number;
  readonly device: string;
  /** `undefined` once it has stopped. */
  readonly state: WorkerState | undefined;
  send(event: Extract<WorkerEvent, { type: 'worker.activate' | 'credits.changed' | 'peers.changed' }>): void;
  /** Finishes what it holds within the drain bound. */
  drain(cause: string): void;
  /** Ends its processes now; what they hold is handed back. */
  kill(): void;
  report(): WorkerReport;
  /** Digests of the artifacts that its runners have open. */
  digests(): string[];
  /** What it counts with against its device's budget. */
  readonly memoryChargedBytes: number;
  /** Reads anew how much memory its processes take: of the machine, or of a GPU where `gpuBytes` (by pid) tells. */
  measureMemory(gpuBytes: ReadonlyMap<number, number>): Promise<void>;
  /** Resolves when it has stopped and its processes have ended. Never rejects. */
  readonly stopped: Promise<void>;
}

/** Key of a worker on its host. */
export function workerKey(ref: { model: string; version: number; device: string }): string {
  return `${ref.model}/${ref.version}@${ref.device}`;
}

/** Makes a worker and starts loading. */
export function startWorker(assignment: Assignment, surroundings: WorkerSurroundings): Worker {
  return new WorkerActor(assignment, surroundings);
}

class WorkerActor implements Worker {
  readonly key: string;
  readonly model: string;
  readonly version: number;
  readonly device: string;
  readonly stopped: Promise<void>;
  readonly #assignment: Assignment;
  readonly #around: WorkerSurroundings;
  readonly #actor: Actor<WorkerMachine>;
  readonly #processes = new Map<RunnerInput['role'], RunnerProcess>();
  /** Processes that have not ended, the replaced ones included, with the artifact that each has open. */
  readonly #alive = new Map<RunnerProcess, string>();
  readonly #suspects = new Suspects();
  readonly #ended = createDeferred<void>();
  #snapshot: WorkerSnapshot;
  #state: WorkerState | undefined;
  #memoryBytes: number | undefined;

  constructor(assignment: Assignment, around: WorkerSurroundings) {
    this.#assignment = assignment;
    this.#around = around;
    this.model = assignment.model;
    this.version = assignment.version.version;
    this.device = assignment.device;
    this.key = workerKey({ model: this.model, version: this.version, device: this.device });
    this.stopped = this.#ended.promise.then(() => this.#allEnded());
    const machine = createWorkerMachine({
      runner: fromCallback<RunnerOrderEvent, RunnerInput>(({ input, sendBack, receive }) => {
        const run = new RunnerRun(input, around, this.#suspects, sendBack as (event: WorkerEvent) => void, {
          started: (process) => {
            this.#processes.set(input.role, process);
            this.#alive.set(process, input.version.digest);
          },
          ended: (process) => {
            if (this.#processes.get(input.role) === process) this.#processes.delete(input.role);
            this.#alive.delete(process);
          },
          notice: (notice) => around.notice(this, notice),
        });
        receive((order) => run.order(order));
        run.start();
        return () => run.stop();
      }),
      findStandby: async () => this.#findStandby(),
      recordStable: (target) => this.#recordStable(target.version),
    });
    this.#actor = createActor(machine, {
      input: {
        assignment,
        times: {
          loadLimitMs: around.settings.loadLimitMs,
          drainBoundMs: around.settings.drainBoundMs,
        },
      },
    });
    this.#snapshot = this.#actor.getSnapshot();
    this.#actor.subscribe({
      next: (snapshot) => this.#changed(snapshot),
      complete: () => this.#ended.resolve(),
      error: (error) => {
        around.log.error({ err: error, worker: this.key }, 'the worker machine failed');
        this.kill();
      },
    });
    this.#actor.start();
  }

  get state(): WorkerState | undefined {
    return workerStateOf(this.#snapshot);
  }

  send(event: WorkerEvent): void {
    if (this.#snapshot.status === 'active') this.#actor.send(event);
  }

  drain(cause: string): void {
    this.send({ type: 'worker.drain', cause });
  }

  kill(): void {
    this.#actor.stop();
    for (const process of this.#alive.keys()) process.kill();
    this.#ended.resolve();
  }

  digests(): string[] {
    return [this.#assignment.version.digest, ...this.#alive.values()];
  }

  get memoryChargedBytes(): number {
    return chargeMemory(estimateMemory(this.#assignment.version, this.device), this.#memoryBytes);
  }

  async measureMemory(gpuBytes: ReadonlyMap<number, number>): Promise<void> {
    const pids = [...this.#alive.keys()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    const read = this.device.startsWith('cuda:')
      ? async (pid: number) => gpuBytes.get(pid)
      : (pid: number) => readMemoryBytes(pid);
    const found = (await Promise.all(pids.map(read))).filter((bytes) => bytes !== undefined);
    this.#memoryBytes = found.length === 0 ? undefined : found.reduce((sum, bytes) => sum + bytes, 0);
  }

  report(): WorkerReport {
    const { context } = this.#snapshot;
    const process = this.#active();
    const status = process?.status;
    const inFlight = [...this.#alive.keys()].reduce((sum, one) => sum + (one.status?.inFlight ?? 0), 0);
    const servingVersion = servingVersionOf(this.#snapshot);
    return {
      model: this.model,
      version: this.version,
      device: this.device,
      state: this.state ?? 'draining',
      ...(servingVersion === undefined ? {} : { servingVersion }),
      ...(context.reason === undefined ? {} : { reason: context.reason }),
      credits: context.credits,
      inFlight,
      ...(process?.pid === undefined ? {} : { pid: process.pid }),
      natsConnected: status?.natsConnected ?? false,
      ...(status?.lastPullAgoMs === undefined ? {} : { lastPullAgoMs: status.lastPullAgoMs }),
      completed: status?.completed ?? 0,
      failed: status?.failed ?? 0,
      batches: status?.batches ?? 0,
      rows: status?.rows ?? 0,
      ...(status?.p50Ms === undefined ? {} : { p50Ms: status.p50Ms }),
      ...(status?.p99Ms === undefined ? {} : { p99Ms: status.p99Ms }),
      ...(this.#memoryBytes === undefined ? {} : { memoryBytes: this.#memoryBytes }),
      memoryChargedBytes: this.memoryChargedBytes,
      crashes: context.crashes,
    };
  }

  /** The process that answers now, else the one that is on its way. */
  #active(): RunnerProcess | undefined {
    const { context } = this.#snapshot;
    const covering = context.standbyPulls && !context.runnerPulls;
    return this.#processes.get(covering ? 'standby' : 'runner');
  }

  #changed(snapshot: WorkerSnapshot): void {
    this.#snapshot = snapshot;
    const from = this.#state;
    const to = workerStateOf(snapshot);
    if (from === to) return;
    this.#state = to;
    // That it has stopped is told by the host's table, once its processes have ended too.
    if (to !== undefined) this.#around.notice(this, { kind: 'state', from, to });
  }

  /** The runners of a machine that is done were killed by it; this waits until they are gone. */
  async #allEnded(): Promise<void> {
    for (const process of [...this.#alive.keys()]) await process.ended;
  }

  #findStandby(): ModelVersion | undefined {
    const stable = this.#around.store.stable(this.model);
    const own = this.#assignment.version;
    if (stable === undefined || stable.version === own.version) return undefined;
    return acceptsSignature(stable.signature, own.signature) ? stable : undefined;
  }

  async #recordStable(version: ModelVersion): Promise<void> {
    try {
      await this.#around.store.recordStable(this.model, version);
    } catch (error) {
      this.#around.log.error({ err: error, worker: this.key }, 'the stable version could not be recorded');
    }
  }
}
