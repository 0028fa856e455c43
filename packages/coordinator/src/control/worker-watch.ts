/**
 * What the leader remembers of workers from one turn to the next: which are cut off from NATS, and which versions
 * answered a moment ago. Reports alone say how things are, not since when.
 */
import type { HostLease, RoutingEntry } from '@troupe/shared';
import { answers } from './observed-host.js';
import { versionKey, workerKey } from './worker-key.js';

export interface WorkerWatch {
  update(hosts: readonly HostLease[]): void;
  /** Workers whose runner has said for one TTL that it has no NATS: they count as lost. */
  cutOff(): Set<string>;
  /** Versions that had an answering worker within `recentMs`. */
  recentlyServing(): Set<string>;
  /** Our own connection was away: what runners said meanwhile may be the same fault. */
  forgetCuts(): void;
}

export interface WorkerWatchOptions {
  readonly ttlMs: number;
  readonly recentMs: number;
  readonly now: () => number;
}

/** Creates the memory of one term; `routes` are those that the term begins with. */
export function createWorkerWatch(options: WorkerWatchOptions, routes: Iterable<RoutingEntry>): WorkerWatch {
  const { now } = options;
  let cutSince = new Map<string, number>();
  const servedAt = new Map<string, number>();
  for (const route of routes) {
    for (const [version, { state }] of Object.entries(route.versions)) {
      if (state === 'ready')
        servedAt.set(versionKey({ model: route.model, version: Number(version) }), now());
    }
  }
  return {
    update(hosts) {
      const cuts = new Map<string, number>();
      for (const { host, report } of hosts) {
        for (const worker of report.workers) {
          if (answers(worker)) servedAt.set(versionKey(worker), now());
          const key = workerKey({ host, device: worker.device }, worker);
          const hasRunner = worker.state === 'serving' || worker.state === 'warm';
          if (hasRunner && !worker.natsConnected) cuts.set(key, cutSince.get(key) ?? now());
        }
      }
      cutSince = cuts;
      for (const [key, atMs] of servedAt) {
        if (now() - atMs > options.recentMs) servedAt.delete(key);
      }
    },
    cutOff() {
      const lost = [...cutSince].filter(([, sinceMs]) => now() - sinceMs >= options.ttlMs);
      return new Set(lost.map(([key]) => key));
    },
    recentlyServing: () => new Set(servedAt.keys()),
    forgetCuts: () => cutSince.clear(),
  };
}
