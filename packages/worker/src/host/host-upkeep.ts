/**
 * What a running host does now and then: measures its workers' memory and its devices, looks for peers that take
 * over from a worker in fallback, removes artifacts that nobody uses, gives back what loading has left of memory. Owns the
 * timers; the host starts and stops it.
 */
import { collectGarbage, type LeaseStore, type Log } from '@troupe/shared';
import type { DeviceMeter } from './device-meter.js';
import { readGpuProcesses } from './nvidia-smi.js';
import type { SnapshotStore } from './snapshot-store.js';
import type { WorkerTable } from './worker-table.js';

export interface HostUpkeepOptions {
  readonly table: WorkerTable;
  readonly meter: DeviceMeter;
  readonly leases: LeaseStore;
  readonly store: SnapshotStore;
  readonly peersEveryMs: number;
  readonly log: Log;
}

const memoryEveryMs = 5_000;
/** nvidia-smi is not waited for longer. */
const gpuLimitMs = 2_000;
const devicesEveryMs = 5_000;
/** Twice this after the last runner came or went, at most. */
const tidyEveryMs = 3_000;
const collectEveryMs = 3_600_000;
/** An artifact that no worker used for this long goes. */
const unusedForMs = 24 * 3_600_000;

export class HostUpkeep {
  readonly #options: HostUpkeepOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  /** Runners as they were at the last look. */
  #runners = '';
  #isUntidy = false;

  constructor(options: HostUpkeepOptions) {
    this.#options = options;
  }

  /** Resolves after the first collection. */
  async start(): Promise<void> {
    const { meter } = this.#options;
    this.#every(memoryEveryMs, () => this.#measureMemory());
    this.#every(devicesEveryMs, () => meter.measure());
    void meter.measure(); // a slow driver holds no start up
    this.#every(this.#options.peersEveryMs, () => this.#lookForPeers());
    this.#every(tidyEveryMs, () => this.#tidyUp());
    this.#every(collectEveryMs, () => this.#collect());
    await this.#collect();
  }

  /** Idempotent. What is under way is not waited for. */
  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** At once, as a worker went into fallback. Never throws. */
  lookForPeers(): void {
    this.#lookForPeers().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'no news of peers');
    });
  }

  #every(ms: number, act: () => Promise<void>): void {
    let running = false;
    this.#timers.push(
      setInterval(() => {
        if (running) return;
        running = true;
        act()
          .catch((error: unknown) => {
            this.#options.log.warn({ err: error }, 'a periodic task of the host failed');
          })
          .finally(() => {
            running = false;
          });
      }, ms),
    );
  }

  async #measureMemory(): Promise<void> {
    const workers = this.#options.table.list();
    const onGpu = workers.some(({ device }) => device.startsWith('cuda:'));
    const gpuBytes = onGpu ? await readGpuProcesses(gpuLimitMs) : new Map<number, number>();
    for (const worker of workers) await worker.measureMemory(gpuBytes);
  }

  /** A load and its trial are the host's busiest moments: what they left is given back when they are over. */
  async #tidyUp(): Promise<void> {
    const runners = this.#options.table
      .list()
      .map((worker) => worker.report().pid)
      .join();
    if (runners !== this.#runners) {
      this.#runners = runners;
      this.#isUntidy = true;
    } else if (this.#isUntidy) {
      this.#isUntidy = false;
      collectGarbage();
    }
  }

  async #lookForPeers(): Promise<void> {
    const { leases, table } = this.#options;
    if (!table.list().some((worker) => worker.state === 'fallback')) return;
    // A store that does not answer changes nothing: what was known of the peers holds.
    table.notePeers(await leases.listHosts());
  }

  async #collect(): Promise<void> {
    const { log, store, table } = this.#options;
    const removed = await store.collect(table.digestsInUse(), unusedForMs);
    if (removed > 0) log.info({ removed }, 'removed unused artifacts');
  }
}
