/**
 * A host that starts while Redis is away serves what it served last, from its snapshots, marked unverified until it is
 * registered again; then the leader's commands count, and workers that it does not want are drained by them. Owned by
 * the host.
 */
import type { Log, WorkerReport } from '@troupe/shared';
import type { ResumeEntry, ResumeList } from './resume-list.js';
import type { SnapshotStore } from './snapshot-store.js';
import { type Worker, workerKey } from './worker-actor.js';
import type { WorkerTable } from './worker-table.js';

/** Redis that does not answer for this long at the start is away. */
const resumeAfterMs = 2_000;

export interface ResumeServingOptions {
  readonly list: ResumeList;
  readonly table: WorkerTable;
  readonly store: Pick<SnapshotStore, 'stable'>;
  readonly log: Log;
}

export class ResumeServing {
  readonly #options: ResumeServingOptions;
  /** Keys of workers that no leader has confirmed since the start. */
  readonly #unverified = new Set<string>();

  constructor(options: ResumeServingOptions) {
    this.#options = options;
  }

  /** Serves the snapshots, unless `redis` settles in time or the signal comes. Never rejects. */
  async unlessHere(redis: Promise<unknown>, signal: AbortSignal): Promise<void> {
    let here = false;
    const settled = () => {
      here = true;
    };
    const answered = redis.then(settled, settled); // its failure is for whoever waits for it
    const entries = await this.#load();
    if (entries.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, resumeAfterMs);
    });
    await Promise.race([answered, late]);
    clearTimeout(timer);
    if (here || signal.aborted) return;
    for (const entry of entries) this.#resume(entry);
  }

  /** Registered: from here on the leader decides. */
  confirm(): void {
    this.#unverified.clear();
  }

  /** The worker's report, marked where nobody has confirmed it. */
  report(worker: Worker): WorkerReport {
    const report = worker.report();
    return this.#unverified.has(worker.key) ? { ...report, unverified: true } : report;
  }

  /** Takes note of what is served now; not to be called once the host stops, which is to serve it again. */
  note(): void {
    const { list, table } = this.#options;
    const serving = table.list().filter(({ state }) => state !== undefined && state !== 'draining');
    list.keep(
      serving.map((worker) => ({
        model: worker.model,
        device: worker.device,
        credits: worker.report().credits,
      })),
    );
  }

  async #load(): Promise<ResumeEntry[]> {
    const { list, log } = this.#options;
    try {
      return await list.load();
    } catch (error) {
      log.warn({ err: error }, 'what was served last cannot be read');
      return [];
    }
  }

  #resume({ model, device, credits }: ResumeEntry): void {
    const { log, store, table } = this.#options;
    const version = store.stable(model);
    if (version === undefined) return;
    const ref = { model, version: version.version, device };
    try {
      table.apply({ kind: 'assign', assignment: { model, version, device, credits } });
      table.apply({ kind: 'activate', ...ref });
      this.#unverified.add(workerKey(ref));
      log.warn(ref, 'Redis is away: the last stable snapshot is served, unverified');
    } catch (error) {
      log.warn({ err: error, ...ref }, 'a snapshot cannot be served');
    }
  }
}
