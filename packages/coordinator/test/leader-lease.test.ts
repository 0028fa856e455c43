/** The leader lease on a simulated clock and the memory store: numbers in titles are the machine's invariants. */
import { createLog, createMemoryLeaseStore, type LeaseStore, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { SimulatedClock } from 'xstate';
import { createLeaderLease, type LeaderLease } from '../src/control/leader-lease.js';

const ttlMs = 3_000;
const log = createLog('test', 'silent');

/** Lets promises settle: the store answers in microtasks, never by a timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe('the leader lease', () => {
  let clock: SimulatedClock;
  let store: LeaseStore;
  let leases: LeaderLease[];
  let story: string[];

  beforeEach(() => {
    clock = new SimulatedClock();
    store = createMemoryLeaseStore({ now: () => clock.now() });
    leases = [];
    story = [];
  });
  afterEach(async () => {
    await Promise.all(leases.map((lease) => lease.close()));
  });

  function candidate(owner: string, through: LeaseStore = store, minEpoch = 0): LeaderLease {
    const lease = createLeaderLease({
      store: through,
      owner,
      ttlMs,
      minEpoch: () => Promise.resolve(minEpoch),
      onElected: (epoch) => story.push(`${owner} elected ${epoch}`),
      onDeposed: (epoch) => story.push(`${owner} deposed ${epoch}`),
      log,
      clock: {
        now: () => clock.now(),
        setTimeout: (fn, timeoutMs) => clock.setTimeout(fn, timeoutMs),
        clearTimeout: (id) => clock.clearTimeout(id as number),
      },
    });
    leases.push(lease);
    return lease;
  }

  async function pass(ms: number, stepMs = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.increment(stepMs);
      await settle();
    }
  }

  /** The store, with some calls failing while `down` is set. */
  function faulty(): { store: LeaseStore; down: boolean; renewals: number[] } {
    const state = { store, down: false, renewals: [] as number[] };
    const failing = <T>(call: () => Promise<T>): Promise<T> =>
      state.down ? Promise.reject(new TroupeError('redis.unreachable', 'down')) : call();
    state.store = {
      ...bindAll(store),
      campaign: (...args) => failing(() => store.campaign(...args)),
      renewLeader: (...args) => {
        state.renewals.push(clock.now());
        return failing(() => store.renewLeader(...args));
      },
    };
    return state;
  }

  it('elects one of several, and the others take over with a higher epoch when it resigns (L3)', async () => {
    const [one, two] = [candidate('one'), candidate('two')];
    one.start();
    two.start();
    await settle();
    expect([one.epoch(), two.epoch()]).to.deep.equal([1, undefined]);
    await pass(10 * ttlMs);
    expect([one.epoch(), two.epoch()]).to.deep.equal([1, undefined]);
    await one.close();
    expect(one.epoch()).to.equal(undefined);
    await pass(ttlMs);
    expect(two.epoch()).to.equal(2);
    expect(story).to.deep.equal(['one elected 1', 'one deposed 1', 'two elected 2']);
  });

  it('is elected above the highest epoch seen anywhere (L3)', async () => {
    const lease = candidate('one', store, 41);
    lease.start();
    await settle();
    expect(lease.epoch()).to.equal(42);
  });

  it('renews every third of the TTL at most (L2)', async () => {
    const wrapped = faulty();
    const lease = candidate('one', wrapped.store);
    lease.start();
    await settle();
    await pass(5 * ttlMs);
    const gaps = wrapped.renewals.map((at, index) => at - (wrapped.renewals[index - 1] ?? 0));
    expect(Math.max(...gaps)).to.be.at.most(ttlMs / 3);
    expect(lease.epoch()).to.equal(1);
  });

  it('survives a store that is away for less than the TTL, and steps down at its own deadline where it is away for longer (L1)', async () => {
    const wrapped = faulty();
    const lease = candidate('one', wrapped.store);
    lease.start();
    await settle();
    wrapped.down = true;
    await pass(ttlMs / 2);
    expect(lease.epoch()).to.equal(1);
    wrapped.down = false;
    await pass(ttlMs);
    expect(lease.epoch()).to.equal(1);
    wrapped.down = true;
    const lastRenewal = wrapped.renewals.at(-1) ?? 0;
    await pass(lastRenewal + ttlMs - clock.now());
    expect(lease.epoch()).to.equal(undefined);
    expect(story).to.deep.equal(['one elected 1', 'one deposed 1']);
    wrapped.down = false;
    await pass(ttlMs);
    expect(lease.epoch()).to.equal(2);
  });

  it('never has two leaders at one moment, nor one epoch twice, whatever fails (L1, L3)', async () => {
    const wrapped = [faulty(), faulty(), faulty()];
    const all = wrapped.map((one, index) => candidate(`c${index}`, one.store));
    for (const lease of all) lease.start();
    // A fixed walk through who can reach the store, each cut off for longer than a TTL and at other times.
    for (let step = 0; step < 200; step += 1) {
      for (const [index, one] of wrapped.entries()) one.down = Math.floor(step / (7 + index)) % 3 === index;
      await pass(ttlMs / 5);
      const leaders = all.filter((lease) => lease.epoch() !== undefined);
      expect(leaders.length, `leaders in step ${step}: ${story.slice(-4).join(', ')}`).to.be.at.most(1);
    }
    const epochs = story.filter((line) => line.includes('elected')).map((line) => Number(line.split(' ')[2]));
    expect(epochs.length).to.be.above(2);
    expect(epochs).to.deep.equal([...new Set(epochs)].sort((a, b) => a - b));
  });

  it('gives back what a campaign under way wins while it is closed (L4)', async () => {
    let answer: (() => void) | undefined;
    const slow: LeaseStore = {
      ...bindAll(store),
      campaign: async (...args) => {
        const outcome = await store.campaign(...args);
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return outcome;
      },
    };
    const lease = candidate('one', slow);
    lease.start();
    await settle();
    const closed = lease.close();
    answer?.();
    await closed;
    expect(await store.leader()).to.equal(undefined);
    expect(story).to.deep.equal([]);
  });

  it('steps down when it finds that somebody else holds the lease', async () => {
    const lease = candidate('one');
    lease.start();
    await settle();
    await store.resign('one', 1);
    await store.campaign('intruder', 10 * ttlMs, 0);
    await pass(ttlMs / 2);
    expect(lease.epoch()).to.equal(undefined);
    expect(story).to.deep.equal(['one elected 1', 'one deposed 1']);
  });
});

/** The store's methods on an object of their own, so that some can be replaced. */
function bindAll(store: LeaseStore): LeaseStore {
  return {
    registerHost: (...args) => store.registerHost(...args),
    renewHost: (...args) => store.renewHost(...args),
    releaseHost: (...args) => store.releaseHost(...args),
    listHosts: () => store.listHosts(),
    sweepHosts: (epoch) => store.sweepHosts(epoch),
    graceHosts: (...args) => store.graceHosts(...args),
    campaign: (...args) => store.campaign(...args),
    renewLeader: (...args) => store.renewLeader(...args),
    resign: (...args) => store.resign(...args),
    leader: () => store.leader(),
    incarnation: () => store.incarnation(),
    close: () => store.close(),
  };
}
