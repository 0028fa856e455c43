/** When a lease counts as lapsed: the gap rule, on the memory store and one clock. */
import { createMemoryLeaseStore, type LeaseStore, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { createLeaseWatch, type LeaseWatch } from '../src/control/lease-watch.js';
import { hostReport } from './simulated/registry-fixture.js';

const ttlMs = 3_000;

describe('the sweep of leases', () => {
  let nowMs: number;
  let store: LeaseStore;
  let watch: LeaseWatch;
  let epoch: number;
  let incarnation: string;
  let down: boolean;

  beforeEach(async () => {
    nowMs = 1_000_000;
    incarnation = 'first';
    down = false;
    const memory = createMemoryLeaseStore({ now: () => nowMs });
    store = memory;
    const reach = <T>(call: () => Promise<T>): Promise<T> =>
      down ? Promise.reject(new TroupeError('redis.unreachable', 'down')) : call();
    const through = {
      incarnation: () => reach(() => Promise.resolve(incarnation)),
      listHosts: () => reach(() => memory.listHosts()),
      sweepHosts: (at: number) => reach(() => memory.sweepHosts(at)),
      graceHosts: (at: number, ms: number) => reach(() => memory.graceHosts(at, ms)),
    };
    watch = createLeaseWatch({ store: through as unknown as LeaseStore, ttlMs, now: () => nowMs });
    epoch = await elect(memory);
  });

  async function elect(memory: LeaseStore): Promise<number> {
    const outcome = await memory.campaign('test', 1e9, 0);
    if (outcome.kind !== 'elected') throw new Error('not elected');
    return outcome.epoch;
  }

  /** Looks every `stepMs` for a while; returns the hosts that were swept. */
  async function look(forMs: number, stepMs = 300): Promise<string[]> {
    const swept: string[] = [];
    for (let passed = 0; passed < forMs; passed += stepMs) {
      nowMs += stepMs;
      swept.push(...(await watch.look(epoch)).swept.map((lease) => lease.host));
    }
    return swept;
  }

  const register = (host: string, ms = ttlMs) => store.registerHost(host, ms, hostReport(host));

  it('removes a host that stopped renewing, and nobody else', async () => {
    await look(2 * ttlMs);
    await register('dead');
    await register('alive', 1e6);
    expect(await look(ttlMs - 300)).to.deep.equal([]);
    expect(await look(600)).to.deep.equal(['dead']);
    expect((await watch.look(epoch)).hosts.map((lease) => lease.host)).to.deep.equal(['alive']);
  });

  it('gives every lease one new TTL after a gap longer than a third of the TTL', async () => {
    await look(2 * ttlMs);
    await register('frozen');
    nowMs += ttlMs + 1; // nobody looked, nobody could renew
    const { graced, swept } = await watch.look(epoch);
    expect(swept).to.deep.equal([]);
    expect(graced).to.contain('nothing was heard of Redis');
    expect(await look(ttlMs - 300)).to.deep.equal([]);
    expect(await look(900)).to.deep.equal(['frozen']);
  });

  it('counts looks that failed as a gap', async () => {
    await look(2 * ttlMs);
    await register('one');
    down = true;
    for (let tries = 0; tries < 12; tries += 1) {
      nowMs += 300;
      await watch.look(epoch).then(
        () => expect.fail('Redis is down'),
        () => undefined,
      );
    }
    down = false;
    nowMs += 300;
    const { graced, swept } = await watch.look(epoch);
    expect(swept).to.deep.equal([]);
    expect(graced).to.not.equal(undefined);
  });

  it('gives every lease one new TTL after a restart of Redis', async () => {
    await look(2 * ttlMs);
    await register('one', 200);
    incarnation = 'second';
    nowMs += 300;
    const { graced, swept, hosts } = await watch.look(epoch);
    expect({ graced, swept }).to.deep.equal({ graced: 'Redis restarted', swept: [] });
    expect(hosts[0]?.remainingMs).to.be.at.least(ttlMs);
  });

  it('gives every lease one new TTL when the leader changed', async () => {
    await register('one', 200);
    nowMs += 300;
    const first = await watch.look(epoch);
    expect(first).to.deep.include({ graced: 'the leader changed', swept: [] });
    await store.resign('test', epoch);
    epoch = await elect(store);
    expect(await watch.look(epoch)).to.deep.include({ graced: 'the leader changed', swept: [] });
  });

  it('refuses to look under an epoch that leads no more', async () => {
    await store.resign('test', epoch);
    await elect(store);
    const error = await watch.look(epoch).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(TroupeError).and.have.property('reason', 'epoch.stale');
  });
});
