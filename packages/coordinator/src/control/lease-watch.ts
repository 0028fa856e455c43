/**
 * Looks at the hosts' leases for the leader, and sweeps those that have lapsed. Called by the reconcile loop at
 * every turn; it decides nothing about placement.
 *
 * A lease counts as lapsed only if Redis and this leader have both been up without a gap for one full TTL: in a gap
 * nobody could renew. After a gap longer than TTL/3, a restart of Redis or a change of leader, every lease first
 * gets one new TTL. (Measured: after a Redis freeze of 5 s, ten of ten live hosts had lapsed at the first sweep.)
 */
import type { HostLease, LeaseStore } from '@troupe/shared';

/** What a look found. */
export interface LeaseLook {
  /** Live leases. */
  readonly hosts: readonly HostLease[];
  /** Leases that this look removed. */
  readonly swept: readonly HostLease[];
  /** Whether every lease got a new TTL, and why. */
  readonly graced: string | undefined;
}

export interface LeaseWatchOptions {
  readonly store: LeaseStore;
  readonly ttlMs: number;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
}

export interface LeaseWatch {
  /** Reads the leases under an epoch. Rejects with `redis.unreachable` or `epoch.stale`. */
  look(epoch: number): Promise<LeaseLook>;
}

/** Creates the watch of one coordinator. */
export function createLeaseWatch({ store, ttlMs, now }: LeaseWatchOptions): LeaseWatch {
  let seen: { readonly epoch: number; readonly incarnation: string; readonly atMs: number } | undefined;
  /** Since when there has been no gap. */
  let steadySinceMs = 0;

  function findGap(epoch: number, incarnation: string, atMs: number): string | undefined {
    if (seen === undefined || seen.epoch !== epoch) return 'the leader changed';
    if (seen.incarnation !== incarnation) return 'Redis restarted';
    const gapMs = atMs - seen.atMs;
    return gapMs > ttlMs / 3 ? `nothing was heard of Redis for ${Math.round(gapMs)} ms` : undefined;
  }

  return {
    async look(epoch) {
      // The time of asking: a slow answer counts towards the gap that the next look sees.
      const atMs = now();
      const incarnation = await store.incarnation();
      const graced = findGap(epoch, incarnation, atMs);
      if (graced !== undefined) {
        await store.graceHosts(epoch, ttlMs);
        steadySinceMs = now();
      }
      const leases = await store.listHosts();
      seen = { epoch, incarnation, atMs };
      const lapsed = leases.some((lease) => lease.remainingMs < 0);
      // Asked for only where one has lapsed: a sweep that hangs in a frozen Redis would run after the thaw.
      const steady = now() - steadySinceMs >= ttlMs;
      const swept = lapsed && steady ? await store.sweepHosts(epoch) : [];
      const gone = new Set(swept.map((lease) => lease.token));
      return { hosts: leases.filter((lease) => !gone.has(lease.token)), swept, graced };
    },
  };
}
