/**
 * Leases in memory: for tests and for anything that runs without servers. The honest twin of those in Redis: reports
 * are kept as JSON text, times come from one clock, tokens and epochs only grow. Nothing survives the process.
 */
import { randomBytes } from 'node:crypto';
import type { HostReport } from '../control/host-report.js';
import { TroupeError } from '../errors/troupe-error.js';
import type { CampaignOutcome, HostLease, LeaseStore, RenewOutcome } from './lease-store.js';

export interface MemoryLeaseOptions {
  /** The store's clock in milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/** The twin, which also tells the highest epoch to a memory registry beside it. */
export interface MemoryLeaseStore extends LeaseStore {
  highestEpoch(): number;
}

interface KeptLease {
  readonly token: number;
  readonly report: string;
  readonly expiryMs: number;
}

class InMemoryLeaseStore implements MemoryLeaseStore {
  readonly #now: () => number;
  readonly #leases = new Map<string, KeptLease>();
  readonly #incarnation = randomBytes(20).toString('hex');
  #leader: { owner: string; epoch: number; expiryMs: number } | undefined;
  #fence = 0;
  #epoch = 0;
  #closed = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  highestEpoch(): number {
    return this.#epoch;
  }

  async registerHost(host: string, ttlMs: number, report: HostReport) {
    this.#open();
    this.#fence += 1;
    this.#keep(host, this.#fence, ttlMs, report);
    return { token: this.#fence, epoch: this.#epoch };
  }

  async renewHost(host: string, token: number, ttlMs: number, report: HostReport): Promise<RenewOutcome> {
    this.#open();
    const currentToken = this.#leases.get(host)?.token;
    if (currentToken !== token) return { kind: 'fenced', currentToken };
    this.#keep(host, token, ttlMs, report);
    return { kind: 'renewed', epoch: this.#epoch };
  }

  async releaseHost(host: string, token: number): Promise<boolean> {
    this.#open();
    return this.#leases.get(host)?.token === token && this.#leases.delete(host);
  }

  async listHosts(): Promise<HostLease[]> {
    this.#open();
    return [...this.#leases].map(([host, lease]) => this.#show(host, lease));
  }

  async sweepHosts(epoch: number): Promise<HostLease[]> {
    this.#open();
    this.#requireLeader(epoch);
    const lapsed = [...this.#leases].filter(([, lease]) => lease.expiryMs <= this.#now());
    for (const [host] of lapsed) this.#leases.delete(host);
    return lapsed.map(([host, lease]) => this.#show(host, lease));
  }

  async graceHosts(epoch: number, ttlMs: number): Promise<number> {
    this.#open();
    this.#requireLeader(epoch);
    const expiryMs = this.#now() + ttlMs;
    const short = [...this.#leases].filter(([, lease]) => lease.expiryMs < expiryMs);
    for (const [host, lease] of short) this.#leases.set(host, { ...lease, expiryMs });
    return short.length;
  }

  async campaign(owner: string, ttlMs: number, minEpoch: number): Promise<CampaignOutcome> {
    this.#open();
    const held = this.#liveLeader();
    if (held !== undefined) {
      return { kind: 'held', holder: held.owner, remainingMs: held.expiryMs - this.#now() };
    }
    this.#epoch = Math.max(this.#epoch, minEpoch) + 1;
    this.#leader = { owner, epoch: this.#epoch, expiryMs: this.#now() + ttlMs };
    return { kind: 'elected', epoch: this.#epoch };
  }

  async renewLeader(owner: string, epoch: number, ttlMs: number): Promise<boolean> {
    this.#open();
    const held = this.#liveLeader();
    if (held?.owner !== owner || held.epoch !== epoch) return false;
    held.expiryMs = this.#now() + ttlMs;
    return true;
  }

  async resign(owner: string, epoch: number): Promise<boolean> {
    this.#open();
    const held = this.#liveLeader();
    if (held?.owner !== owner || held.epoch !== epoch) return false;
    this.#leader = undefined;
    return true;
  }

  async leader(): Promise<{ owner: string; epoch: number; remainingMs: number } | undefined> {
    this.#open();
    const held = this.#liveLeader();
    if (held === undefined) return undefined;
    return { owner: held.owner, epoch: held.epoch, remainingMs: held.expiryMs - this.#now() };
  }

  async incarnation(): Promise<string> {
    this.#open();
    return this.#incarnation;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #keep(host: string, token: number, ttlMs: number, report: HostReport): void {
    this.#leases.set(host, { token, report: JSON.stringify(report), expiryMs: this.#now() + ttlMs });
  }

  #show(host: string, lease: KeptLease): HostLease {
    const report = JSON.parse(lease.report) as HostReport;
    return { host, token: lease.token, remainingMs: lease.expiryMs - this.#now(), report };
  }

  #liveLeader() {
    return this.#leader !== undefined && this.#leader.expiryMs > this.#now() ? this.#leader : undefined;
  }

  #requireLeader(epoch: number): void {
    if (this.#liveLeader()?.epoch === epoch) return;
    throw new TroupeError(
      'epoch.stale',
      `epoch ${epoch} does not lead any more (the highest given out is ${this.#epoch})`,
    );
  }

  #open(): void {
    if (this.#closed) throw new TroupeError('redis.unreachable', 'the memory lease store was closed');
  }
}

/** Leases of this process alone. */
export function createMemoryLeaseStore(options: MemoryLeaseOptions = {}): MemoryLeaseStore {
  return new InMemoryLeaseStore(options.now ?? Date.now);
}
