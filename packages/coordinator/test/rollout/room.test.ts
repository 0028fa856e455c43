/** Whether a new version fits beside the old one: by slots, and by the memory budgets of devices. */
import type { HostLease } from '@troupe/shared';
import { expect } from 'chai';
import { findMissingRoom } from '../../src/rollout/room.js';
import { hostLease, modelRecord, registrySnapshot, workerReport } from '../simulated/registry-fixture.js';
import { inRollout, rolloutRecord } from './rollout-fixture.js';

const mebibyte = 1024 ** 2;
const charged = { memoryChargedBytes: 100 * mebibyte };

/** One host with two devices: a worker of `ash` version 1 on each, and one of `birch` on the first. */
function host(change: { readonly slots?: number; readonly budgetMebibytes?: number } = {}): HostLease {
  const workers = [
    workerReport('ash', 1, 'cpu:0', charged),
    workerReport('ash', 1, 'cpu:1', charged),
    workerReport('birch', 1, 'cpu:0', charged),
  ];
  const lease = hostLease('h1', { slots: change.slots ?? 16, workers });
  const { budgetMebibytes } = change;
  if (budgetMebibytes === undefined) return lease;
  const devices = lease.report.devices.map((device) => ({
    ...device,
    memoryBudgetBytes: budgetMebibytes * mebibyte,
  }));
  return { ...lease, report: { ...lease.report, devices } };
}

function missing(lease: HostLease): string | undefined {
  const { rollout: _, ...ash } = inRollout();
  const registry = registrySnapshot([ash, modelRecord('birch', { replicas: 1 })]);
  return findMissingRoom(registry, [lease], ash, rolloutRecord());
}

describe('the room for a rollout', () => {
  it('is there where slots are free and no device has a budget', () => {
    expect(missing(host())).to.equal(undefined);
    expect(missing(host({ slots: 5 }))).to.equal(undefined);
  });

  it('is short of slots, with figures', () => {
    expect(missing(host({ slots: 4 }))).to.equal(
      '2 slots are needed beside those of version 1, 1 are free, of 4 in all',
    );
    expect(missing(host({ slots: 3 }))).to.contain('0 are free, of 3 in all');
  });

  it('is short of memory where the old version leaves too little of the budget, with figures', () => {
    expect(missing(host({ budgetMebibytes: 500 }))).to.equal(undefined);
    expect(missing(host({ budgetMebibytes: 150 }))).to.match(
      /^on h1 cpu:[01] \d+ MiB are needed, \d+ MiB are free, of a budget of 150 MiB$/,
    );
  });
});
