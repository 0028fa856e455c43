/**
 * Port of the leases: hosts and the leader. Leases are efficiency, not correctness: losing the store may cause
 * re-execution, never a wrong or missing answer. All times are the store's own (Redis TIME), never a caller's.
 */
import type { HostReport } from '../control/host-report.js';

/** A host's lease as the sweeping leader sees it. */
export interface HostLease {
  readonly host: string;
  /** Fencing token: grows with every registration of any host. */
  readonly token: number;
  /** Until the lease lapses by the store's clock, in milliseconds; negative where it has lapsed. */
  readonly remainingMs: number;
  readonly report: HostReport;
}

/** Answer to a renewal: the highest epoch on success, or who fenced the caller off. */
export type RenewOutcome =
  | { readonly kind: 'renewed'; readonly epoch: number }
  | { readonly kind: 'fenced'; readonly currentToken: number | undefined };

/** Answer to a campaign for the leader lease. */
export type CampaignOutcome =
  | { readonly kind: 'elected'; readonly epoch: number }
  | { readonly kind: 'held'; readonly holder: string; readonly remainingMs: number };

/** Throws `redis.unreachable` from every call where the store does not answer in time. */
export interface LeaseStore {
  /** Takes (or takes over) the host's lease with a new, higher token; whoever held it is fenced. */
  registerHost(host: string, ttlMs: number, report: HostReport): Promise<{ token: number; epoch: number }>;
  /** Renews the lease and replaces the report, only where `token` is still the current one. */
  renewHost(host: string, token: number, ttlMs: number, report: HostReport): Promise<RenewOutcome>;
  /** Gives the lease up; true where `token` was still current. */
  releaseHost(host: string, token: number): Promise<boolean>;
  /** Every lease that has not been swept, lapsed ones included. */
  listHosts(): Promise<HostLease[]>;
  /** Removes leases that have lapsed, only where `epoch` is still the leader's (`epoch.stale`); returns those removed. */
  sweepHosts(epoch: number): Promise<HostLease[]>;
  /** Gives every lease at least `ttlMs` from now: after a gap in which nobody could renew (`epoch.stale`). */
  graceHosts(epoch: number, ttlMs: number): Promise<number>;
  /** Takes the leader lease where it is free; the new epoch is above the highest given out and above `minEpoch`. */
  campaign(owner: string, ttlMs: number, minEpoch: number): Promise<CampaignOutcome>;
  /** Prolongs the leader lease; false where it is no longer the owner's under that epoch. */
  renewLeader(owner: string, epoch: number, ttlMs: number): Promise<boolean>;
  /** Gives the leader lease up; true where it was still the owner's. */
  resign(owner: string, epoch: number): Promise<boolean>;
  /** Who leads now. */
  leader(): Promise<{ owner: string; epoch: number; remainingMs: number } | undefined>;
  /** The store's own start mark: changes when the store restarted (Redis run id). */
  incarnation(): Promise<string>;
  close(): Promise<void>;
}
