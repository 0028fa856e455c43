/** The lease keeper and the epoch gate, on the memory store and a simulated clock. */
import {
  createLog,
  createMemoryLeaseStore,
  type HostReport,
  type LeaseStore,
  TroupeError,
} from '@troupe/shared';
import { expect } from 'chai';
import { SimulatedClock } from 'xstate';
import { EpochGate } from '../../src/host/epoch-gate.js';
import { createLeaseKeeper, type LeaseKeeper } from '../../src/host/lease-keeper.js';

const log = createLog('test', 'silent');
const ttlMs = 3_000;

/** Lets promises of the memory store settle: no timer is involved. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe('lease keeper', () => {
  let clock: SimulatedClock;
  let inner: ReturnType<typeof createMemoryLeaseStore>;
  let gone: boolean;
  let fencings: number;
  let epochs: number[];
  let slots: number;
  let drained: () => void;
  let watched: boolean;
  let keeper: LeaseKeeper;

  const report = (): HostReport => ({
    host: 'h1',
    startedAt: '2026-11-01T00:00:00Z',
    pid: 1,
    devices: [],
    slots,
    workers: [],
    epoch: 0,
    stopping: false,
    nodeVersion: 'v20',
    runtimeVersion: '1.30.0',
    troupeVersion: '0.1.0',
  });

  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.increment(100);
      await settle();
    }
  }

  beforeEach(() => {
    clock = new SimulatedClock();
    inner = createMemoryLeaseStore({ now: () => clock.now() });
    gone = false;
    fencings = 0;
    epochs = [];
    slots = 8;
    drained = () => undefined;
    watched = false;
    const store = new Proxy(inner as LeaseStore, {
      get: (target, name) => {
        const member = Reflect.get(target, name) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) =>
          gone
            ? Promise.reject(new TroupeError('redis.unreachable', 'Redis is gone'))
            : (Reflect.apply(member, target, args) as unknown);
      },
    });
    keeper = createLeaseKeeper({
      store,
      host: 'h1',
      ttlMs,
      log,
      report,
      isWatched: () => watched,
      onEpoch: (epoch) => epochs.push(epoch),
      onFenced: () => {
        fencings += 1;
        return new Promise((resolve) => {
          drained = resolve;
        });
      },
      clock,
    });
  });
  afterEach(async () => {
    gone = false;
    await keeper.release();
  });

  const remaining = async () => (await inner.listHosts())[0]?.remainingMs;

  it('renews every third of its time to live, so that the lease never lapses', async () => {
    keeper.start();
    await settle();
    for (let turn = 0; turn < 20; turn += 1) {
      await pass(500);
      expect(await remaining()).to.be.greaterThan(ttlMs / 2);
      expect(keeper.remainingMs()).to.be.at.most(ttlMs).and.greaterThan(0);
    }
  });

  it('tells its report four times as often while a version on trial is judged by it', async () => {
    keeper.start();
    await pass(6_000);
    const usual = epochs.length;
    watched = true;
    await pass(1_000); // the turn that was under way
    const before = epochs.length;
    await pass(6_000);
    expect(usual).to.be.within(6, 7);
    // The clock of this test goes in tenths of a second.
    expect(epochs.length - before).to.be.within(20, 24);
  });

  it('a changed report is told at once, and changes during a renewal are told after it', async () => {
    keeper.start();
    await settle();
    slots = 3;
    const told = keeper.renewNow();
    slots = 4;
    const toldAgain = keeper.renewNow();
    await Promise.all([told, toldAgain]);
    expect((await inner.listHosts())[0]?.report.slots).to.equal(4);
  });

  it('a store that is gone changes nothing, and is tried until it is back', async () => {
    keeper.start();
    await settle();
    gone = true;
    await pass(10_000);
    expect(fencings).to.equal(0);
    expect(keeper.remainingMs()).to.equal(0);
    expect(keeper.lastError).to.be.instanceOf(TroupeError).with.property('reason', 'redis.unreachable');
    gone = false;
    await pass(1_000);
    expect(await remaining()).to.be.greaterThan(0);
    expect(fencings).to.equal(0);
  });

  it('a store that is gone at the start is tried until it takes the registration', async () => {
    gone = true;
    keeper.start();
    await pass(5_000);
    gone = false;
    await pass(1_000);
    await keeper.registered;
    expect(await remaining()).to.be.greaterThan(0);
  });

  it('a host that was fenced drains, and registers anew once the other lease has lapsed (never before)', async () => {
    keeper.start();
    await settle();
    const { token } = await inner.registerHost('h1', 6_000, report());
    await pass(1_000);
    expect(fencings).to.equal(1);
    await pass(10_000);
    expect((await inner.listHosts())[0]?.token, 'still draining').to.equal(token);
    drained();
    await pass(4_000);
    expect((await inner.listHosts())[0]?.token).to.be.greaterThan(token);
    expect(fencings).to.equal(1);
  });

  it('a fenced host stands back while the other lives', async () => {
    keeper.start();
    await settle();
    const { token } = await inner.registerHost('h1', ttlMs, report());
    await pass(1_000);
    drained();
    for (let turn = 0; turn < 20; turn += 1) {
      expect(await inner.renewHost('h1', token, ttlMs, report())).to.include({ kind: 'renewed' });
      await pass(1_000);
    }
    expect(fencings).to.equal(1);
  });

  it('a lease that was swept, or lost with the store, is taken anew without stopping anything', async () => {
    keeper.start();
    await settle();
    const leader = await inner.campaign('leader', 60_000, 0);
    if (leader.kind !== 'elected') throw new Error('not elected');
    gone = true;
    await pass(4_000);
    expect(await inner.sweepHosts(leader.epoch)).to.have.length(1);
    gone = false;
    await pass(2_000);
    expect(await remaining()).to.be.greaterThan(0);
    expect(fencings).to.equal(0);
    expect(epochs.at(-1)).to.equal(leader.epoch);
  });

  it('a released lease is gone at once, and releasing waits for nothing that is gone', async () => {
    keeper.start();
    await settle();
    await keeper.release();
    expect(await inner.listHosts()).to.deep.equal([]);
    await keeper.release();
  });
});

describe('epoch gate', () => {
  const reasonOf = (act: () => void): string | undefined => {
    try {
      act();
      return undefined;
    } catch (thrown) {
      return (thrown as TroupeError).reason;
    }
  };

  it('admits nothing before the lease told an epoch, and nothing below the highest seen', () => {
    const gate = new EpochGate();
    expect(reasonOf(() => gate.admit(5))).to.equal('placement.no_host');
    gate.learn(3);
    expect(reasonOf(() => gate.admit(2))).to.equal('epoch.stale');
    expect(reasonOf(() => gate.admit(4))).to.equal(undefined);
    expect(reasonOf(() => gate.admit(3))).to.equal('epoch.stale');
    gate.learn(2);
    expect(gate.highest).to.equal(4);
    gate.learn(9);
    expect(reasonOf(() => gate.admit(8))).to.equal('epoch.stale');
  });
});
