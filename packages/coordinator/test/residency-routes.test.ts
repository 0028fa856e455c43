/** What doors are told of models that share too little memory: to wait as long as room can be made, and else why not. */
import { estimateMemory, type Residency } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import type { ResidencyView } from '../src/control/residency-plan.js';
import { modelRecord, modelVersion, registrySnapshot } from './simulated/registry-fixture.js';
import { SimulatedCluster } from './simulated/simulated-cluster.js';

const each = estimateMemory(modelVersion(1), 'cpu:0');
const names = ['ash', 'birch', 'cedar', 'dogwood', 'elm'];

function viewOf(
  nowMs: number,
  used: Readonly<Record<string, number>> = {},
  asked: Readonly<Record<string, number>> = {},
): ResidencyView {
  const byKey = (times: Readonly<Record<string, number>>) =>
    new Map(Object.entries(times).map(([name, atMs]) => [`${name}/1`, atMs]));
  return { nowMs, idleMs: 60_000, usedAtMs: byKey(used), askedAtMs: byKey(asked) };
}

describe('the routes of models that share too little memory', () => {
  let cluster: SimulatedCluster;
  const stateOf = (name: string) => cluster.routes.get(name)?.versions['1']?.state;
  const onDemand = registrySnapshot(
    names.map((name) => modelRecord(name, { replicas: 1, residency: 'on_demand' })),
  );

  it('say to wait while as many as do not fit are asked for at once, whoever is served first', () => {
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], budgetBytes: Math.floor(2.5 * each) } });
    const askedAtMs = { ash: 1, birch: 2, cedar: 3, dogwood: 4, elm: 5 };
    cluster.residency = viewOf(10, {}, askedAtMs);
    for (let round = 0; round < 8; round += 1) {
      cluster.round(onDemand);
      for (const name of names)
        expect(stateOf(name), `${name}, round ${round}`).to.be.oneOf(['cold', 'ready']);
    }
    expect(names.map(stateOf)).to.deep.equal(['ready', 'ready', 'cold', 'cold', 'cold']);
  });

  it('say to wait for a slot, too, that a model on demand has', () => {
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], slots: 1 } });
    cluster.residency = viewOf(10, {}, { ash: 1, birch: 2 });
    cluster.settle(onDemand);
    expect(names.map(stateOf)).to.deep.equal(['ready', 'cold', 'cold', 'cold', 'cold']);
    const pinned = modelRecord('ash', { replicas: 1, residency: 'pinned' });
    const registry = { ...onDemand, models: { ...onDemand.models, ash: pinned } };
    cluster.settle(registry);
    expect(names.map(stateOf)).to.deep.equal(['ready', 'unplaced', 'unplaced', 'unplaced', 'unplaced']);
  });

  it('say to wait for a pinned model while others give way to it', () => {
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], budgetBytes: each } });
    cluster.residency = viewOf(10, {}, { ash: 1 });
    cluster.settle(onDemand);
    const pinned = modelRecord('elm', { replicas: 1, residency: 'pinned' });
    const registry = { ...onDemand, models: { ...onDemand.models, elm: pinned } };
    for (let round = 0; round < 8; round += 1) {
      cluster.round(registry);
      expect(stateOf('elm'), `round ${round}`).to.be.oneOf(['loading', 'ready']);
    }
    expect(stateOf('elm')).to.equal('ready');
    expect(stateOf('ash')).to.equal('unplaced');
  });

  const arbitraryStep = fc.record({
    used: fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 100 })),
    asked: fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 100 })),
    rounds: fc.integer({ min: 1, max: 4 }),
  });
  const arbitraryYielding = fc.constantFrom<Residency>('always', 'on_demand', 'prefetched');

  it('refuse what can never fit beside the pinned ones, and nothing else, at any step and whatever is asked for', () => {
    fc.assert(
      fc.property(
        fc.tuple(...names.map(() => fc.tuple(arbitraryYielding, fc.integer({ min: 1, max: 2 })))),
        fc.option(fc.constantFrom(...names)),
        fc.integer({ min: 50, max: 500 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(arbitraryStep, { minLength: 1, maxLength: 8 }),
        (shapes, pinned, holds, slots, steps) => {
          const contents = names.map((_, index) =>
            modelVersion(1, { memoryBytes: each * (0.6 + index / 4) }),
          );
          const needOf = (index: number) => estimateMemory(contents[index] ?? modelVersion(1), 'cpu:0');
          const registry = registrySnapshot(
            names.map((name, index) => {
              const [residency, replicas] = shapes[index] ?? ['always', 1];
              const record = modelRecord(
                name,
                name === pinned ? { residency: 'pinned', replicas: 1 } : { residency, replicas },
              );
              return { ...record, versions: { 1: contents[index] ?? modelVersion(1) } };
            }),
          );
          const budgetBytes = Math.floor((holds / 100) * each);
          const pinnedNeed = pinned === null ? 0 : needOf(names.indexOf(pinned));
          const hasPinned = pinned !== null && pinnedNeed <= budgetBytes;
          const [free, slotsLeft] = hasPinned ? [budgetBytes - pinnedNeed, slots - 1] : [budgetBytes, slots];
          cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], slots, budgetBytes } });
          for (const { used, asked, rounds } of steps) {
            cluster.residency = viewOf(100, used, asked);
            for (let round = 0; round < rounds; round += 1) {
              cluster.round(registry);
              for (const [index, name] of names.entries()) {
                const fits = name === pinned ? hasPinned : slotsLeft > 0 && needOf(index) <= free;
                expect(stateOf(name) !== 'unplaced', `${name} is ${stateOf(name)}`).to.equal(fits);
              }
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
