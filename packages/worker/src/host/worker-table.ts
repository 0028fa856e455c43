/**
 * The workers of a host and the room for them. Applies the leader's commands; all are idempotent, since the leader
 * repeats them until the report shows what it wants.
 */
import {
  type Assignment,
  budgetOf,
  type Device,
  estimateMemory,
  type HostCommand,
  type HostLease,
  type MemoryBudgets,
  TroupeError,
} from '@troupe/shared';
import { startWorker, type Worker, type WorkerSurroundings, workerKey } from './worker-actor.js';

export interface WorkerTableOptions {
  readonly devices: readonly Device[];
  readonly slots: number;
  readonly memoryBudgets?: MemoryBudgets;
  readonly surroundings: WorkerSurroundings;
}

type WorkerCommand = Exclude<HostCommand, { kind: 'prefetch' | 'trial' }>;

export class WorkerTable {
  /** In the order of their assignment, oldest first. */
  private readonly workers = new Map<string, Worker>();
  private slotCount: number;
  private closed: string | undefined;
  private readonly options: WorkerTableOptions;

  constructor(options: WorkerTableOptions) {
    this.options = options;
    this.slotCount = options.slots;
  }

  get slots(): number {
    return this.slotCount;
  }

  list(): Worker[] {
    return [...this.workers.values()];
  }

  /** Artifacts that some runner has open or will open. */
  digestsInUse(): Set<string> {
    return new Set(this.list().flatMap((worker) => worker.digests()));
  }

  /** Takes no more assignments, with the reason that refusals give; `undefined` opens it again. */
  close(reason: string | undefined): void {
    this.closed = reason;
  }

  /** Throws `placement.no_slot`, `placement.no_memory`, `placement.no_device`, `placement.no_host` or `model.version_unavailable`. */
  apply(command: WorkerCommand): void {
    switch (command.kind) {
      case 'assign':
        this.assign(command.assignment);
        return;
      case 'activate':
        this.find(command).send({ type: 'worker.activate' });
        return;
      case 'credits':
        this.find(command).send({ type: 'credits.changed', credits: command.credits });
        return;
      case 'confirm':
        this.find(command).send({ type: 'worker.confirm' });
        return;
      case 'condemn':
        this.find(command).send({ type: 'worker.condemn', cause: command.cause });
        return;
      case 'drain':
        this.workers.get(workerKey(command))?.drain(command.cause);
        return;
      case 'scale':
        this.scale(command.slots);
        return;
    }
  }

  /** Drains every worker, all at once; resolves when they have stopped, each within its bound. */
  async drainAll(cause: string): Promise<void> {
    const workers = this.list();
    for (const worker of workers) worker.drain(cause);
    await Promise.all(workers.map((worker) => worker.stopped));
  }

  /** Ends every process now. */
  async killAll(): Promise<void> {
    const workers = this.list();
    for (const worker of workers) worker.kill();
    await Promise.all(workers.map((worker) => worker.stopped));
  }

  /** Tells workers in fallback whether others serve their version with itself, by the hosts' leases. */
  notePeers(leases: readonly HostLease[]): void {
    for (const worker of this.list()) {
      if (worker.state !== 'fallback') continue;
      const servedElsewhere = leases.some(
        (lease) =>
          lease.remainingMs > 0 &&
          lease.report.workers.some(
            (other) =>
              other.model === worker.model &&
              other.version === worker.version &&
              other.state === 'serving' &&
              other.servingVersion === worker.version &&
              other.natsConnected,
          ),
      );
      worker.send({ type: 'peers.changed', servedElsewhere });
    }
  }

  private assign(assignment: Assignment): void {
    const { devices, surroundings } = this.options;
    const { model, device } = assignment;
    if (this.closed !== undefined) throw new TroupeError('placement.no_host', this.closed);
    if (!devices.some(({ name }) => name === device)) {
      throw new TroupeError(
        'placement.no_device',
        `host ${surroundings.host} has no device ${device}, only ${devices.map(({ name }) => name).join(', ')}`,
      );
    }
    const key = workerKey({ model, version: assignment.version.version, device });
    const existing = this.workers.get(key);
    if (existing !== undefined) {
      if (existing.state === 'draining' || existing.state === undefined) {
        throw new TroupeError('placement.no_slot', `${key} is draining: assign it again once it is gone`);
      }
      // A repeat; credits have a command of their own. But a rollout may begin of a version that is served already.
      const { probation } = assignment;
      if (probation !== undefined) existing.send({ type: 'worker.probation', probation });
      return;
    }
    if (this.workers.size >= this.slotCount) {
      throw new TroupeError(
        'placement.no_slot',
        `host ${surroundings.host} has no free slot: ${this.workers.size} of ${this.slotCount} taken`,
      );
    }
    this.assertMemory(assignment);
    const worker = startWorker(assignment, surroundings);
    this.workers.set(key, worker);
    void worker.stopped.then(() => {
      this.workers.delete(key);
      surroundings.notice(worker, { kind: 'stopped' });
    });
  }

  /** The budget holds whatever the leader reckons with: a worker that leaves counts until its processes are gone. */
  private assertMemory({ version, device }: Assignment): void {
    const budgetBytes = budgetOf(this.options.memoryBudgets, device);
    if (budgetBytes === undefined) return;
    const neededBytes = estimateMemory(version, device);
    const takenBytes = this.list()
      .filter((worker) => worker.device === device)
      .reduce((sum, worker) => sum + worker.memoryChargedBytes, 0);
    if (takenBytes + neededBytes <= budgetBytes) return;
    const mebibytes = (bytes: number) => Math.ceil(bytes / 1024 ** 2);
    throw new TroupeError(
      'placement.no_memory',
      `${device} of host ${this.options.surroundings.host} has ${mebibytes(takenBytes)} of ${mebibytes(budgetBytes)} MiB taken: ${mebibytes(neededBytes)} MiB more do not fit`,
    );
  }

  private find(ref: { model: string; version: number; device: string }): Worker {
    const worker = this.workers.get(workerKey(ref));
    if (worker !== undefined) return worker;
    throw new TroupeError(
      'model.version_unavailable',
      `host ${this.options.surroundings.host} has no worker ${workerKey(ref)}`,
    );
  }

  /** The newest go first: the older have proven themselves, and more routes lead to them. */
  private scale(slots: number): void {
    this.slotCount = slots;
    const staying = this.list().filter((worker) => worker.state !== 'draining');
    for (const worker of staying.slice(slots)) {
      worker.drain(`the host was scaled to ${slots} slots`);
    }
  }
}
