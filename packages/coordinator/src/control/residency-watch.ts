/**
 * What the leader remembers of use and demand from one turn to the next: when each loaded version was last at work, and
 * which versions somebody waits for. A new leader begins with everything used just now, and with what is asked anew.
 */
import type { HostLease } from '@troupe/shared';
import { answers } from './observed-host.js';
import type { ResidencyView } from './residency-plan.js';
import { type VersionRef, versionKey } from './worker-key.js';

export interface ResidencyWatch {
  /** Somebody waits for a version; true where that is new. */
  ask(ref: VersionRef): boolean;
  update(hosts: readonly HostLease[]): void;
  view(): ResidencyView;
}

export interface ResidencyWatchOptions {
  readonly idleMs: number;
  readonly now: () => number;
}

/** Who asked and did not ask again has gone: doors repeat every second while their requests wait for a queue. */
const askedForMs = 30_000;
/** A version that was asked for stays at least so long once it answers, whether or not its work shows in a report. */
const stayMs = 2_000;

interface Asked {
  readonly sinceMs: number;
  lastMs: number;
  /** Since when a worker answers. */
  answeredMs: number | undefined;
}

export function createResidencyWatch({ idleMs, now }: ResidencyWatchOptions): ResidencyWatch {
  const usedAtMs = new Map<string, number>();
  const asked = new Map<string, Asked>();
  /** Requests that the workers of a version have done, by the last report. */
  const done = new Map<string, number>();

  /** Whether the version has been at work since the last look. */
  function noteWork(key: string, count: number, inFlight: number): boolean {
    const worked = inFlight > 0 || (done.has(key) && done.get(key) !== count) || !usedAtMs.has(key);
    const first = !done.has(key) && count > 0;
    done.set(key, count);
    return worked || first;
  }

  return {
    ask(ref) {
      const key = versionKey(ref);
      const before = asked.get(key);
      asked.set(key, { ...(before ?? { sinceMs: now(), answeredMs: undefined }), lastMs: now() });
      return before === undefined;
    },
    update(hosts) {
      const counts = new Map<string, { count: number; inFlight: number; answering: boolean }>();
      for (const { report } of hosts) {
        for (const worker of report.workers) {
          const key = versionKey(worker);
          const sum = counts.get(key) ?? { count: 0, inFlight: 0, answering: false };
          counts.set(key, {
            count: sum.count + worker.completed + worker.failed,
            inFlight: sum.inFlight + worker.inFlight,
            answering: sum.answering || answers(worker),
          });
        }
      }
      for (const [key, { answering, count, inFlight }] of counts) {
        if (noteWork(key, count, inFlight)) usedAtMs.set(key, now());
        const wait = asked.get(key);
        if (wait === undefined || !answering) continue;
        wait.answeredMs ??= now();
        // Its first work shows that who waited is served; from then on it counts by its last use.
        if (count > 0 || now() - wait.answeredMs > stayMs) asked.delete(key);
      }
      for (const key of usedAtMs.keys()) {
        if (counts.has(key)) continue;
        usedAtMs.delete(key);
        done.delete(key);
      }
      for (const [key, { lastMs }] of asked) if (now() - lastMs > askedForMs) asked.delete(key);
    },
    view: () => ({
      nowMs: now(),
      idleMs,
      usedAtMs,
      askedAtMs: new Map([...asked].map(([key, { sinceMs }]) => [key, sinceMs])),
    }),
  };
}
