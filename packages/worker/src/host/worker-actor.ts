/**
 * A worker: the machine run over real runner processes and the real store. Made and dropped by the host; knows
 * nothing of slots, leases or the leader.
 */
import {
  type Assignment,
  chargeMemory,
  estimateMemory,
  type ModelVersion,
  type Probation,
  type WorkerReport,
  type WorkerState,
} from '@troupe/shared';
import { type Actor, createActor, fromCallback } from 'xstate';
import { type CoverMode, coverModes } from '../ipc/runner-messages.js';
import { createDeferred } from '../onnx/deferred.js';
import { readMemoryBytes } from '../onnx/process-memory.js';
import { type Condemnation, repeatsOn } from './probation.js';
import type { RunnerProcess } from './runner-process.js';
import { type RunnerNotice, RunnerRun, type RunnerSurroundings } from './runner-run.js';
import { SiblingCover } from './sibling-cover.js';
import type { Covered, CoveringWorker, Siblings } from './siblings.js';
import { findStandby } from './standby-choice.js';
import { Suspects } from './suspects.js';
import type { RunnerInput, RunnerOrderEvent, SiblingOrderEvent, WorkerEvent } from './worker-events.js';
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
  | { readonly kind: 'condemned'; readonly verdict: Condemnation }
  /** The first answer for a condemned version, by whoever covers it. */
  | {
      readonly kind: 'flipped';
      readonly by: 'sibling' | 'runner';
      /** The version that answered. */
      readonly to: number | undefined;
      readonly condemnedNs: bigint;
      readonly answeredNs: bigint;
    }
  | RunnerNotice;

/** What every worker of a host shares. */
export interface WorkerSurroundings extends RunnerSurroundings {
  readonly siblings: Siblings;
  /** Must not throw. */
  notice(worker: Worker, notice: WorkerNotice): void;
}

/** What a worker is told from outside. */
export type LeaderEvent = Extract<
  WorkerEvent,
  {
    type:
      | 'worker.activate'
      | 'worker.probation'
      | 'worker.confirm'
      | 'worker.condemn'
      | 'credits.changed'
      | 'peers.changed';
  }
>;

/** A worker of the host. */
export interface Worker {
  readonly key: string;
  readonly model: string;
  readonly version: number;
  readonly device: string;
  /** `undefined` once it has stopped. */
  readonly state: WorkerState | undefined;
  send(event: LeaderEvent): void;
  /** Finishes what it holds within the drain bound. */
  drain(cause: string): void;
  /** Ends its processes now; what they hold is handed back. */
  kill(): void;
  /** A rollout of its version is under way, which the leader judges by its figures. */
  readonly isOnProbation: boolean;
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

class WorkerActor implements Worker, CoveringWorker {
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
  /** What this worker covers, and for whom. */
  readonly #covers = new Map<number, Map<Covered, CoverMode>>();
  #siblingCover: SiblingCover | undefined;
  #probation: Probation | undefined;
  #hasFlipped = false;
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
    this.#probation = assignment.probation;
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
          probation: () => this.#probation,
          covered: (covered, answeredNs) => this.#hasAnswered(input.role, covered, answeredNs),
        });
        receive((order) => run.order(order));
        run.start();
        return () => run.stop();
      }),
      sibling: fromCallback<SiblingOrderEvent, Assignment>(({ input, sendBack, receive }) => {
        const cover = new SiblingCover({
          assignment: input,
          siblings: around.siblings,
          stable: () => around.store.stable(input.model),
          tell: sendBack as (event: WorkerEvent) => void,
          answered: (answeredNs) => this.#isAnswered('sibling', answeredNs),
        });
        this.#siblingCover = cover;
        receive((order) => cover.order(order));
        return () => cover.stop();
      }),
      findStandby: async (wanted) => findStandby(wanted, around.store.stable(this.model)),
      recordStable: (target) => this.#recordStable(target.version),
      nowNs: () => process.hrtime.bigint(),
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
    around.siblings.add(this);
    void this.stopped.then(() => around.siblings.remove(this));
    this.#actor.start();
  }

  get assigned(): ModelVersion {
    return this.#assignment.version;
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

  reach(): { natsConnected: boolean; lastPullAgoMs?: number } {
    const status = this.#active()?.status;
    return {
      natsConnected: status?.natsConnected ?? false,
      ...(status?.lastPullAgoMs === undefined ? {} : { lastPullAgoMs: status.lastPullAgoMs }),
    };
  }

  cover(who: Covered, version: ModelVersion, mode: CoverMode): void {
    const askers = this.#covers.get(version.version) ?? new Map<Covered, CoverMode>();
    this.#covers.set(version.version, askers);
    const before = strongest(askers);
    askers.set(who, mode);
    const after = strongest(askers);
    // Another worker of the same version may need more: its queue is the same.
    if (after !== mode && after === before) return;
    this.#processes.get('runner')?.order({ kind: 'cover', version, mode: after });
  }

  uncover(who: Covered, version: ModelVersion): void {
    const askers = this.#covers.get(version.version);
    if (askers === undefined) return;
    const before = strongest(askers);
    askers.delete(who);
    const after = strongest(askers);
    const runner = this.#processes.get('runner');
    if (askers.size === 0) {
      this.#covers.delete(version.version);
      runner?.order({ kind: 'uncover', version: version.version });
    } else if (after !== before) {
      runner?.order({ kind: 'cover', version, mode: after });
    }
  }

  get isOnProbation(): boolean {
    return this.#snapshot.context.probation !== undefined;
  }

  report(): WorkerReport {
    const { context } = this.#snapshot;
    const process = this.#active();
    const status = process?.status;
    // Whoever covers answers by its own runner.
    const reach = process === undefined ? this.#siblingCover?.covering?.reach() : undefined;
    const { natsConnected, lastPullAgoMs } = reach ?? this.reach();
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
      natsConnected,
      ...(lastPullAgoMs === undefined ? {} : { lastPullAgoMs }),
      completed: status?.completed ?? 0,
      failed: status?.failed ?? 0,
      batches: status?.batches ?? 0,
      rows: status?.rows ?? 0,
      ...(status?.p50Ms === undefined ? {} : { p50Ms: status.p50Ms }),
      ...(status?.p99Ms === undefined ? {} : { p99Ms: status.p99Ms }),
      ...(this.#memoryBytes === undefined ? {} : { memoryBytes: this.#memoryBytes }),
      memoryChargedBytes: this.memoryChargedBytes,
      crashes: context.crashes,
      ...(status?.samples === undefined ? {} : { samples: status.samples }),
      ...(status?.repeats === undefined ? {} : { repeats: status.repeats }),
      ...(context.probation === undefined ? {} : { probation: true }),
      ...(context.condemned === undefined
        ? {}
        : { condemned: { kind: context.condemned.kind, cause: context.condemned.cause } }),
    };
  }

  /** The process that answers now, else the one that is on its way. */
  #active(): RunnerProcess | undefined {
    const { context } = this.#snapshot;
    // A condemned version's runner may still finish what it holds.
    const covering = context.standbyPulls && (!context.runnerPulls || context.condemned !== undefined);
    return this.#processes.get(covering ? 'standby' : 'runner');
  }

  #changed(snapshot: WorkerSnapshot): void {
    const { condemned, probation } = snapshot.context;
    const isNewVerdict = condemned !== undefined && this.#snapshot.context.condemned === undefined;
    this.#snapshot = snapshot;
    // What a condemned version's runner still holds goes on being repeated where it fails.
    if (condemned === undefined && probation !== this.#probation) {
      this.#probation = probation;
      this.#processes.get('runner')?.order({
        kind: 'probation',
        standby: repeatsOn(probation, this.assigned),
      });
    }
    if (isNewVerdict) {
      this.#around.notice(this, { kind: 'condemned', verdict: condemned });
      void this.#withdrawStable();
    }
    const from = this.#state;
    const to = workerStateOf(snapshot);
    if (from === to) return;
    this.#state = to;
    // That it has stopped is told by the host's table, once its processes have ended too.
    if (to !== undefined) this.#around.notice(this, { kind: 'state', from, to });
    if (from === 'serving' || to === 'serving') this.#around.siblings.changed();
  }

  /** A runner of this worker has given its first answer for a version that it covers. */
  #hasAnswered(role: RunnerInput['role'], covered: number, answeredNs: bigint): void {
    if (role === 'standby') this.#isAnswered('runner', answeredNs);
    for (const who of this.#covers.get(covered)?.keys() ?? []) who.answered(answeredNs);
  }

  /** Somebody has answered for this worker. */
  #isAnswered(by: 'sibling' | 'runner', answeredNs: bigint): void {
    const { condemned } = this.#snapshot.context;
    if (condemned === undefined || this.#hasFlipped || answeredNs < condemned.atNs) return;
    this.#hasFlipped = true;
    const to = servingVersionOf(this.#snapshot);
    this.#around.notice(this, { kind: 'flipped', by, to, condemnedNs: condemned.atNs, answeredNs });
  }

  /** The runners of a machine that is done were killed by it; this waits until they are gone. */
  async #allEnded(): Promise<void> {
    for (const process of [...this.#alive.keys()]) await process.ended;
  }

  async #recordStable(version: ModelVersion): Promise<void> {
    try {
      await this.#around.store.recordStable(this.model, version);
    } catch (error) {
      this.#around.log.error({ err: error, worker: this.key }, 'the stable version could not be recorded');
    }
    // The verdict may have come meanwhile.
    if (this.#snapshot.context.condemned !== undefined) await this.#withdrawStable();
  }

  /** A condemned version is nobody's snapshot, whenever it was condemned. */
  async #withdrawStable(): Promise<void> {
    try {
      await this.#around.store.withdrawStable(this.model, this.version);
    } catch (error) {
      this.#around.log.error({ err: error, worker: this.key }, 'the stable version could not be withdrawn');
    }
  }
}

/** What the one asks for that asks for most. */
function strongest(askers: ReadonlyMap<Covered, CoverMode>): CoverMode {
  const asked = [...askers.values()];
  return coverModes.findLast((mode) => asked.includes(mode)) ?? 'ready';
}
