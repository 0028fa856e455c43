/** Leases in Redis: one script for each operation, all times Redis' own. Used by hosts and coordinators. */
import type { HostReport } from '../control/host-report.js';
import { TroupeError } from '../errors/troupe-error.js';
import type { CampaignOutcome, HostLease, LeaseStore, RenewOutcome } from '../leases/lease-store.js';
import type { RedisConnection } from './redis-connection.js';
import { readRedisInfo } from './redis-fitness.js';
import { asList, numberAt, pairsOf, parseStored, textAt } from './redis-reply.js';
import type { RedisScript } from './redis-script.js';
import { campaign } from './scripts/campaign.js';
import { graceHosts } from './scripts/grace-hosts.js';
import { listHosts } from './scripts/list-hosts.js';
import { readLeader } from './scripts/read-leader.js';
import { registerHost } from './scripts/register-host.js';
import { releaseHost } from './scripts/release-host.js';
import { renewHost } from './scripts/renew-host.js';
import { renewLeader } from './scripts/renew-leader.js';
import { resign } from './scripts/resign.js';
import { sweepHosts } from './scripts/sweep-hosts.js';

interface StoredLease {
  readonly token: number;
  readonly report: HostReport;
}

interface StoredLeader {
  readonly epoch: number;
  readonly owner: string;
}

function toLease(host: string, text: string, expiryMs: number, nowMs: number): HostLease {
  const { token, report } = parseStored<StoredLease>(text, `the lease of host ${host}`);
  return { host, token, remainingMs: expiryMs - nowMs, report };
}

function refuseStale(epoch: number, reply: readonly unknown[]): void {
  if (reply[0] !== 'stale') return;
  throw new TroupeError(
    'epoch.stale',
    `epoch ${epoch} does not lead any more (the highest given out is ${textAt(reply, 1)})`,
  );
}

class RedisLeaseStore implements LeaseStore {
  readonly #connection: RedisConnection;
  readonly #letGo: () => Promise<void>;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
    this.#letGo = connection.hold();
  }

  async registerHost(host: string, ttlMs: number, report: HostReport) {
    const { leases, leaseExpiries, fence, epoch } = this.#connection.keys;
    const reply = await this.#run(
      registerHost,
      [leases, leaseExpiries, fence, epoch],
      [host, ttlMs, JSON.stringify(report)],
    );
    return { token: numberAt(reply, 1), epoch: numberAt(reply, 2) };
  }

  async renewHost(host: string, token: number, ttlMs: number, report: HostReport): Promise<RenewOutcome> {
    const { leases, leaseExpiries, epoch } = this.#connection.keys;
    const reply = await this.#run(
      renewHost,
      [leases, leaseExpiries, epoch],
      [host, token, ttlMs, JSON.stringify(report)],
    );
    if (reply[0] === 'ok') return { kind: 'renewed', epoch: numberAt(reply, 1) };
    return { kind: 'fenced', currentToken: textAt(reply, 1) === '' ? undefined : numberAt(reply, 1) };
  }

  async releaseHost(host: string, token: number): Promise<boolean> {
    const { leases, leaseExpiries } = this.#connection.keys;
    return textAt(await this.#run(releaseHost, [leases, leaseExpiries], [host, token]), 1) === '1';
  }

  async listHosts(): Promise<HostLease[]> {
    const { leases, leaseExpiries } = this.#connection.keys;
    const reply = await this.#run(listHosts, [leases, leaseExpiries], []);
    const nowMs = numberAt(reply, 0);
    const texts = new Map(pairsOf(reply[1]));
    return pairsOf(reply[2]).flatMap(([host, expiry]) => {
      const text = texts.get(host);
      return text === undefined ? [] : [toLease(host, text, Number(expiry), nowMs)];
    });
  }

  async sweepHosts(epoch: number): Promise<HostLease[]> {
    const keys = this.#connection.keys;
    const reply = await this.#run(
      sweepHosts,
      [keys.leases, keys.leaseExpiries, keys.leader, keys.epoch],
      [epoch],
    );
    refuseStale(epoch, reply);
    const nowMs = numberAt(reply, 1);
    const removed = asList(reply[2]);
    const swept: HostLease[] = [];
    for (let index = 0; index < removed.length; index += 3) {
      swept.push(
        toLease(textAt(removed, index), textAt(removed, index + 1), numberAt(removed, index + 2), nowMs),
      );
    }
    return swept;
  }

  async graceHosts(epoch: number, ttlMs: number): Promise<number> {
    const keys = this.#connection.keys;
    const reply = await this.#run(graceHosts, [keys.leaseExpiries, keys.leader, keys.epoch], [epoch, ttlMs]);
    refuseStale(epoch, reply);
    return numberAt(reply, 1);
  }

  async campaign(owner: string, ttlMs: number, minEpoch: number): Promise<CampaignOutcome> {
    const { leader, epoch } = this.#connection.keys;
    const reply = await this.#run(campaign, [leader, epoch], [JSON.stringify(owner), ttlMs, minEpoch]);
    if (reply[0] === 'elected') return { kind: 'elected', epoch: numberAt(reply, 1) };
    const held = parseStored<StoredLeader>(textAt(reply, 1), 'the leader');
    return { kind: 'held', holder: held.owner, remainingMs: numberAt(reply, 2) };
  }

  async renewLeader(owner: string, epoch: number, ttlMs: number): Promise<boolean> {
    const { leader } = this.#connection.keys;
    const reply = await this.#run(renewLeader, [leader], [JSON.stringify(owner), epoch, ttlMs]);
    return textAt(reply, 1) === '1';
  }

  async resign(owner: string, epoch: number): Promise<boolean> {
    const { leader } = this.#connection.keys;
    return textAt(await this.#run(resign, [leader], [JSON.stringify(owner), epoch]), 1) === '1';
  }

  async leader(): Promise<{ owner: string; epoch: number; remainingMs: number } | undefined> {
    const reply = await this.#run(readLeader, [this.#connection.keys.leader], []);
    if (reply.length === 0) return undefined;
    const { owner, epoch } = parseStored<StoredLeader>(textAt(reply, 0), 'the leader');
    return { owner, epoch, remainingMs: numberAt(reply, 1) };
  }

  async incarnation(): Promise<string> {
    const runId = (await readRedisInfo(this.#connection, 'server')).get('run_id');
    if (runId !== undefined && runId !== '') return runId;
    throw new TroupeError('internal.unexpected', `Redis at ${this.#connection.address} tells no run id`);
  }

  close(): Promise<void> {
    return this.#letGo();
  }

  async #run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<readonly unknown[]> {
    return asList(await this.#connection.run(script, keys, args));
  }
}

/** The lease store on a Redis connection; the connection closes when the last store on it was closed. */
export function createRedisLeaseStore(connection: RedisConnection): LeaseStore {
  return new RedisLeaseStore(connection);
}
