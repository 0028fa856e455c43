/** What every lease store guarantees: run on the one in Redis and on its memory twin. */

import { type HostReport, type LeaseStore, TroupeError } from '@troupe/shared';
import { expect } from 'chai';

export interface LeaseFixture {
  readonly store: LeaseStore;
  /** Lets the store's clock move on by this much, really or by turning it. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Far longer than a test. */
const longMs = 60_000;
const shortMs = 60;

export function report(host: string, changes: Partial<HostReport> = {}): HostReport {
  return {
    host,
    startedAt: '2026-01-01T00:00:00.000Z',
    pid: 1,
    devices: [],
    slots: 8,
    workers: [],
    epoch: 0,
    stopping: false,
    nodeVersion: 'v20.19.0',
    runtimeVersion: '1.30.0',
    troupeVersion: '0.1.0',
    ...changes,
  };
}

/** The reason with which a call was refused. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    if (thrown instanceof TroupeError) return thrown.reason;
    throw thrown;
  }
  return 'not refused';
}

export function leaseStoreContract(open: () => Promise<LeaseFixture>): void {
  let fixture: LeaseFixture;
  let store: LeaseStore;

  beforeEach(async () => {
    fixture = await open();
    store = fixture.store;
  });
  afterEach(() => fixture.close());

  async function elect(owner = 'coordinator/a', minEpoch = 0): Promise<number> {
    const outcome = await store.campaign(owner, longMs, minEpoch);
    if (outcome.kind !== 'elected') throw new Error(`held by ${outcome.holder}`);
    return outcome.epoch;
  }

  describe('hosts', () => {
    it('gives every registration a higher token, whatever the host', async () => {
      const tokens: number[] = [];
      for (const host of ['a', 'b', 'a', 'c', 'a']) {
        tokens.push((await store.registerHost(host, longMs, report(host))).token);
      }
      const { token: first } = await store.registerHost('d', longMs, report('d'));
      await store.releaseHost('d', first);
      tokens.push(first, (await store.registerHost('d', longMs, report('d'))).token);
      expect(tokens).to.deep.equal([...tokens].sort((one, other) => one - other));
      expect(new Set(tokens).size).to.equal(tokens.length);
    });

    it('gives no token twice under concurrent registrations', async () => {
      const taken = await Promise.all(
        Array.from({ length: 50 }, (_, index) => store.registerHost(`h${index % 5}`, longMs, report('h'))),
      );
      expect(new Set(taken.map(({ token }) => token)).size).to.equal(50);
      const leases = await store.listHosts();
      expect(leases).to.have.length(5);
      for (const { host, token } of leases) {
        const own = taken.filter((_, index) => `h${index % 5}` === host).map((one) => one.token);
        expect(token, host).to.equal(Math.max(...own));
      }
    });

    it('shows a lease with its token, its time and its report as it was', async () => {
      const given = report('a', {
        devices: [
          { name: 'cpu:0', kind: 'cpu', memoryTotalBytes: 9_007_199_254_740_991, utilisationRatio: 0.1 },
        ],
        workers: [],
        startedAt: 'ü "quoted" \\ \u2028 {}[] 😀',
      });
      const { token } = await store.registerHost('a', longMs, given);
      const [lease, ...others] = await store.listHosts();
      expect(others).to.deep.equal([]);
      expect(lease?.host).to.equal('a');
      expect(lease?.token).to.equal(token);
      expect(lease?.remainingMs).to.be.within(1, longMs);
      expect(lease?.report).to.deep.equal(given);
    });

    it('keeps a report apart from the object that its host goes on changing', async () => {
      const given = { ...report('a') };
      await store.registerHost('a', longMs, given);
      Object.assign(given, { slots: 99 });
      const [lease] = await store.listHosts();
      expect(lease?.report.slots).to.equal(8);
    });

    it('renews with the current token, and replaces the report', async () => {
      const { token } = await store.registerHost('a', shortMs, report('a'));
      expect(await store.renewHost('a', token, longMs, report('a', { slots: 3 }))).to.deep.equal({
        kind: 'renewed',
        epoch: 0,
      });
      const [lease] = await store.listHosts();
      expect(lease?.remainingMs).to.be.above(shortMs);
      expect(lease?.report.slots).to.equal(3);
      expect(lease?.token).to.equal(token);
    });

    it('refuses a renewal with an old token, names the current one, and changes nothing', async () => {
      const { token: old } = await store.registerHost('a', longMs, report('a', { pid: 1 }));
      const { token } = await store.registerHost('a', longMs, report('a', { pid: 2 }));
      expect(await store.renewHost('a', old, longMs * 10, report('a', { pid: 1 }))).to.deep.equal({
        kind: 'fenced',
        currentToken: token,
      });
      const [lease] = await store.listHosts();
      expect(lease?.report.pid).to.equal(2);
      expect(lease?.remainingMs).to.be.at.most(longMs);
    });

    it('refuses a renewal of a host that has no lease', async () => {
      const fenced = { kind: 'fenced', currentToken: undefined };
      expect(await store.renewHost('a', 1, longMs, report('a'))).to.deep.equal(fenced);
      const { token } = await store.registerHost('a', longMs, report('a'));
      await store.releaseHost('a', token);
      expect(await store.renewHost('a', token, longMs, report('a'))).to.deep.equal(fenced);
      expect(await store.listHosts()).to.deep.equal([]);
    });

    it('releases with the current token only', async () => {
      const { token: old } = await store.registerHost('a', longMs, report('a'));
      const { token } = await store.registerHost('a', longMs, report('a'));
      expect(await store.releaseHost('a', old)).to.equal(false);
      expect(await store.listHosts()).to.have.length(1);
      expect(await store.releaseHost('a', token)).to.equal(true);
      expect(await store.releaseHost('a', token)).to.equal(false);
      expect(await store.listHosts()).to.deep.equal([]);
    });

    it('shows a lapsed lease, with negative time, until it is swept, and lets it be renewed', async () => {
      const { token } = await store.registerHost('a', shortMs, report('a'));
      await fixture.pass(shortMs + 5);
      const [lapsed] = await store.listHosts();
      expect(lapsed?.remainingMs).to.be.below(0);
      expect((await store.renewHost('a', token, longMs, report('a'))).kind).to.equal('renewed');
      const [renewed] = await store.listHosts();
      expect(renewed?.remainingMs).to.be.above(0);
    });
  });

  describe('sweep and grace', () => {
    it('sweeps what has lapsed, returns it, and never a live lease', async () => {
      const epoch = await elect();
      await store.registerHost('live', longMs, report('live'));
      expect(await store.sweepHosts(epoch)).to.deep.equal([]);
      const { token } = await store.registerHost('dead', shortMs, report('dead', { pid: 7 }));
      await fixture.pass(shortMs + 5);
      const swept = await store.sweepHosts(epoch);
      expect(swept.map((lease) => [lease.host, lease.token, lease.report.pid])).to.deep.equal([
        ['dead', token, 7],
      ]);
      expect(swept[0]?.remainingMs).to.be.at.most(0);
      expect((await store.listHosts()).map(({ host }) => host)).to.deep.equal(['live']);
      expect(await store.sweepHosts(epoch)).to.deep.equal([]);
      expect((await store.renewHost('dead', token, longMs, report('dead'))).kind).to.equal('fenced');
    });

    it('sweeps and graces for the leader of the epoch only', async () => {
      const first = await elect('a');
      await store.registerHost('dead', shortMs, report('dead'));
      await fixture.pass(shortMs + 5);
      expect(await store.resign('a', first)).to.equal(true);
      expect(await reasonOf(store.sweepHosts(first)), 'nobody leads').to.equal('epoch.stale');
      const second = await elect('b');
      for (const epoch of [0, first, second + 1]) {
        expect(await reasonOf(store.sweepHosts(epoch)), `sweep in ${epoch}`).to.equal('epoch.stale');
        expect(await reasonOf(store.graceHosts(epoch, longMs)), `grace in ${epoch}`).to.equal('epoch.stale');
      }
      expect((await store.listHosts())[0]?.remainingMs).to.be.below(0);
      expect(await store.sweepHosts(second)).to.have.length(1);
    });

    it('gives every lease, lapsed or not, a time of at least the grace, and shortens none', async () => {
      const epoch = await elect();
      await store.registerHost('lapsed', shortMs, report('lapsed'));
      await store.registerHost('short', shortMs * 100, report('short'));
      await store.registerHost('long', longMs * 10, report('long'));
      await fixture.pass(shortMs + 5);
      expect(await store.graceHosts(epoch, longMs)).to.equal(2);
      const remaining = new Map((await store.listHosts()).map((lease) => [lease.host, lease.remainingMs]));
      expect(remaining.get('lapsed')).to.be.within(longMs / 2, longMs);
      expect(remaining.get('short')).to.be.within(longMs / 2, longMs);
      expect(remaining.get('long')).to.be.above(longMs * 9);
      expect(await store.sweepHosts(epoch)).to.deep.equal([]);
    });

    it('graces no hosts where there are none', async () => {
      expect(await store.graceHosts(await elect(), longMs)).to.equal(0);
    });
  });

  describe('leader', () => {
    it('elects one of many campaigners, and tells the others who holds it', async () => {
      const owners = Array.from({ length: 20 }, (_, index) => `coordinator/${index}`);
      const outcomes = await Promise.all(owners.map((owner) => store.campaign(owner, longMs, 0)));
      const winners = owners.filter((_, index) => outcomes[index]?.kind === 'elected');
      expect(winners).to.have.length(1);
      const holders = outcomes.flatMap((outcome) => (outcome.kind === 'held' ? [outcome.holder] : []));
      expect(new Set(holders)).to.deep.equal(new Set(winners));
      const leader = await store.leader();
      expect(leader?.owner).to.equal(winners[0]);
      expect(leader?.remainingMs).to.be.within(1, longMs);
    });

    it('is nobody at first', async () => {
      expect(await store.leader()).to.equal(undefined);
    });

    it('gives an epoch above every earlier one and above minEpoch, for ever', async () => {
      const first = await elect('a');
      expect(first).to.be.above(0);
      await store.resign('a', first);
      const second = await elect('b', 41);
      expect(second).to.equal(42);
      await store.resign('b', second);
      const third = await elect('c', 5);
      expect(third).to.be.above(second);
      expect((await store.leader())?.epoch).to.equal(third);
    });

    it('holds the lease against its own owner too, so that no epoch is ever in doubt', async () => {
      const epoch = await elect('a');
      const again = await store.campaign('a', longMs, 0);
      expect(again.kind === 'held' && again.holder).to.equal('a');
      expect((await store.leader())?.epoch).to.equal(epoch);
    });

    it('renews for the owner under its epoch only', async () => {
      const epoch = await elect('a');
      expect(await store.renewLeader('a', epoch, longMs * 2)).to.equal(true);
      expect((await store.leader())?.remainingMs).to.be.above(longMs);
      expect(await store.renewLeader('b', epoch, longMs)).to.equal(false);
      expect(await store.renewLeader('a', epoch - 1, longMs)).to.equal(false);
      expect(await store.renewLeader('a', epoch + 1, longMs)).to.equal(false);
      expect((await store.leader())?.remainingMs).to.be.above(longMs);
    });

    it('is free after it lapsed: the old leader can neither renew nor sweep', async () => {
      const lapsed = await store.campaign('a', shortMs, 0);
      const old = lapsed.kind === 'elected' ? lapsed.epoch : 0;
      await fixture.pass(shortMs + 5);
      expect(await store.leader()).to.equal(undefined);
      expect(await store.renewLeader('a', old, longMs)).to.equal(false);
      expect(await reasonOf(store.sweepHosts(old))).to.equal('epoch.stale');
      expect(await elect('b')).to.be.above(old);
      expect(await store.resign('a', old)).to.equal(false);
      expect((await store.leader())?.owner).to.equal('b');
    });

    it('can be resigned once, by its owner under its epoch', async () => {
      const epoch = await elect('a');
      expect(await store.resign('b', epoch)).to.equal(false);
      expect(await store.resign('a', epoch + 1)).to.equal(false);
      expect(await store.resign('a', epoch)).to.equal(true);
      expect(await store.resign('a', epoch)).to.equal(false);
      expect(await store.leader()).to.equal(undefined);
    });

    it('keeps owners with any characters apart', async () => {
      const owner = 'coordinator/"a"\\\u2028😀';
      const epoch = await elect(owner);
      expect((await store.leader())?.owner).to.equal(owner);
      expect(await store.renewLeader(owner, epoch, longMs)).to.equal(true);
      expect(await store.resign(owner, epoch)).to.equal(true);
    });

    it('tells hosts the highest epoch ever given out, at registration and at every renewal', async () => {
      const before = await store.registerHost('a', longMs, report('a'));
      expect(before.epoch).to.equal(0);
      const epoch = await elect('a', 9);
      expect(await store.renewHost('a', before.token, longMs, report('a'))).to.deep.equal({
        kind: 'renewed',
        epoch,
      });
      await store.resign('a', epoch);
      expect((await store.registerHost('b', longMs, report('b'))).epoch).to.equal(epoch);
    });
  });

  it('tells the same start mark as long as the store runs', async () => {
    const mark = await store.incarnation();
    expect(mark).to.match(/^[0-9a-f]{40}$/);
    expect(await store.incarnation()).to.equal(mark);
  });

  it('refuses every call after it was closed, and can be closed again', async () => {
    await store.close();
    await store.close();
    const calls: Promise<unknown>[] = [
      store.registerHost('a', longMs, report('a')),
      store.renewHost('a', 1, longMs, report('a')),
      store.releaseHost('a', 1),
      store.listHosts(),
      store.sweepHosts(1),
      store.graceHosts(1, longMs),
      store.campaign('a', longMs, 0),
      store.renewLeader('a', 1, longMs),
      store.resign('a', 1),
      store.leader(),
      store.incarnation(),
    ];
    for (const reason of await Promise.all(calls.map(reasonOf))) expect(reason).to.equal('redis.unreachable');
  });
}
