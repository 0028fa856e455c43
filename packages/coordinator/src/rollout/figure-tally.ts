/**
 * Adds up, over all workers and from a moment on, what the reports of two versions say: counters as differences, since
 * they begin anew with every runner; percentiles as they stand, weighted by their samples. One for each phase of a
 * rollout, in the memory of the leader: a successor begins a new one.
 */
import type { HostLease, VersionFigures, WorkerReport } from '@troupe/shared';
import { workerKey } from '../control/worker-key.js';

export interface FigureTally {
  /** Takes the newest reports in. */
  observe(hosts: readonly HostLease[]): void;
  candidate(): VersionFigures;
  stable(): VersionFigures;
  /** Runners of the candidate that died. */
  crashes(): number;
}

export interface TallyOf {
  readonly model: string;
  /** The version that stands by, or is still stable. */
  readonly from: number | undefined;
  readonly to: number;
}

/** Sums of one counter over workers that come, restart and go. */
class Counter {
  readonly #last = new Map<string, number>();
  total = 0;

  /** The first look at all only sets the marks; a worker that is new after it counts from zero. */
  take(key: string, value: number, isFirstLook: boolean): void {
    const before = this.#last.get(key) ?? (isFirstLook ? value : 0);
    this.total += value >= before ? value - before : value;
    this.#last.set(key, value);
  }
}

/** Creates an empty tally; the first `observe` is its zero. */
export function createFigureTally({ model, from, to }: TallyOf): FigureTally {
  const completed = { candidate: new Counter(), stable: new Counter() };
  const errors = new Counter();
  const deaths = new Counter();
  let observed = false;
  let latest: { candidate: WorkerReport[]; stable: WorkerReport[] } = { candidate: [], stable: [] };

  return {
    observe(hosts) {
      latest = { candidate: [], stable: [] };
      for (const { host, report } of hosts) {
        for (const worker of report.workers) {
          if (worker.model !== model) continue;
          const side = worker.version === to ? 'candidate' : worker.version === from ? 'stable' : undefined;
          if (side === undefined) continue;
          latest[side].push(worker);
          const key = workerKey({ host, device: worker.device }, worker);
          completed[side].take(key, worker.completed, !observed);
          if (side === 'candidate') deaths.take(key, worker.crashes, !observed);
          if (side === 'stable') errors.take(key, worker.repeats?.[String(to)]?.answered ?? 0, !observed);
        }
      }
      observed = true;
    },
    candidate: () => ({
      requests: completed.candidate.total + errors.total,
      errors: errors.total,
      ...latency(latest.candidate),
    }),
    stable: () => ({ requests: completed.stable.total, errors: 0, ...latency(latest.stable) }),
    crashes: () => deaths.total,
  };
}

function latency(workers: readonly WorkerReport[]): Pick<VersionFigures, 'p99Ms' | 'samples'> {
  let [weighted, samples] = [0, 0];
  for (const worker of workers) {
    if (worker.p99Ms === undefined || worker.samples === undefined) continue;
    weighted += worker.p99Ms * worker.samples;
    samples += worker.samples;
  }
  return samples === 0 ? {} : { p99Ms: weighted / samples, samples };
}
