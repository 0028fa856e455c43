/** What the leader remembers of its commands until reports show them. */
import type { HostCommand } from '@troupe/shared';
import { expect } from 'chai';
import { type CommandLedger, createCommandLedger } from '../src/control/command-ledger.js';
import { hostLease, modelVersion, workerReport } from './simulated/registry-fixture.js';

const ttlMs = 3_000;
const assign: HostCommand = {
  kind: 'assign',
  assignment: { model: 'ash', version: modelVersion(1), device: 'cpu:0', credits: 128 },
};
const drain: HostCommand = { kind: 'drain', model: 'ash', version: 1, device: 'cpu:0', cause: 'test' };

describe('the command ledger', () => {
  let nowMs: number;
  let ledger: CommandLedger;
  beforeEach(() => {
    nowMs = 0;
    ledger = createCommandLedger(ttlMs, () => nowMs);
  });
  const states = (...workers: ReturnType<typeof workerReport>[]) =>
    ledger
      .overlay([hostLease('h1', { workers })])
      .flatMap(({ report }) => report.workers.map((worker) => worker.state));

  it('shows an accepted assignment as a loading worker until the report has it', () => {
    ledger.accepted('h1', assign);
    expect(states()).to.deep.equal(['loading']);
    expect(states(workerReport('ash', 1, 'cpu:0'))).to.deep.equal(['serving']);
    // It was there and is gone: nothing is believed any more.
    expect(states()).to.deep.equal([]);
  });

  it('gives up on an assignment that no report shows', () => {
    ledger.accepted('h1', assign);
    nowMs = 2 * ttlMs;
    expect(states()).to.deep.equal([]);
  });

  it('shows a drained worker as draining until it is gone', () => {
    ledger.accepted('h1', drain);
    expect(states(workerReport('ash', 1, 'cpu:0'))).to.deep.equal(['draining']);
    expect(states()).to.deep.equal([]);
    expect(states(workerReport('ash', 1, 'cpu:0'))).to.deep.equal(['serving']);
  });

  it('repeats a command after a second, not sooner', () => {
    expect([ledger.trySend('h1', assign), ledger.trySend('h1', assign)]).to.deep.equal([true, false]);
    expect([ledger.trySend('h1', drain), ledger.trySend('h2', assign)]).to.deep.equal([true, true]);
    nowMs = 1_000;
    expect(ledger.trySend('h1', assign)).to.equal(true);
  });

  it('leaves a place alone where the host refused the worker, for a while', () => {
    ledger.refused('h1', assign, 'placement.no_slot');
    expect([...ledger.refusedKeys()]).to.deep.equal(['h1/cpu:0/ash/1']);
    nowMs = 10_000;
    expect([...ledger.refusedKeys()]).to.deep.equal([]);
  });

  it('tries a place again soon where memory was short: it comes back in a moment', () => {
    ledger.refused('h1', assign, 'placement.no_memory');
    expect([...ledger.refusedKeys()]).to.deep.equal(['h1/cpu:0/ash/1']);
    nowMs = 1_000;
    expect([...ledger.refusedKeys()]).to.deep.equal([]);
  });

  it('forgets everything of a host that is a new process', () => {
    ledger.accepted('h1', assign);
    ledger.refused('h1', assign, 'placement.no_slot');
    expect(ledger.trySend('h1', assign)).to.equal(true);
    ledger.forgetHost('h1');
    expect(states()).to.deep.equal([]);
    expect([...ledger.refusedKeys()]).to.deep.equal([]);
    expect(ledger.trySend('h1', assign)).to.equal(true);
  });
});
