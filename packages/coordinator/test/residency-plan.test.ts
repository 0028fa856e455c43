/** Who is in memory, by example and over generated demand. */
import {
  estimateMemory,
  type ModelRecord,
  type RegistrySnapshot,
  type Residency,
  type RolloutRecord,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import type { ResidencyView } from '../src/control/residency-plan.js';
import { findMissingRoom } from '../src/rollout/room.js';
import { modelRecord, modelVersion, registrySnapshot } from './simulated/registry-fixture.js';
import { SimulatedCluster } from './simulated/simulated-cluster.js';

const each = estimateMemory(modelVersion(1), 'cpu:0');
const names = ['ash', 'birch', 'cedar', 'dogwood', 'elm'];

/** One worker for each model, all of one size. */
function models(residency: Residency, change: Readonly<Record<string, Partial<ModelRecord>>> = {}) {
  return registrySnapshot(
    names.map((name) => ({ ...modelRecord(name, { replicas: 1, residency }), ...change[name] })),
  );
}

function viewOf(
  nowMs: number,
  used: Readonly<Record<string, number>> = {},
  asked: Readonly<Record<string, number>> = {},
): ResidencyView {
  const byKey = (times: Readonly<Record<string, number>>) =>
    new Map(Object.entries(times).map(([name, atMs]) => [`${name}/1`, atMs]));
  return { nowMs, idleMs: 60_000, usedAtMs: byKey(used), askedAtMs: byKey(asked) };
}

describe('who is in memory', () => {
  let cluster: SimulatedCluster;
  const start = (holds: number, slots = 8) => {
    const budgetBytes = Math.floor(holds * each);
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], slots, budgetBytes } });
    cluster.residency = viewOf(0);
  };
  const loaded = () =>
    cluster
      .workers()
      .filter(({ state }) => state !== 'draining')
      .map(({ model }) => model)
      .sort();
  const stateOf = (name: string) => cluster.routes.get(name)?.versions['1']?.state;

  it('models that are always in memory fill the budget, and the others wait to be asked for', () => {
    start(2.5);
    cluster.settle(models('always'));
    expect(loaded()).to.deep.equal(['ash', 'birch']);
    expect(names.map(stateOf)).to.deep.equal(['ready', 'ready', 'cold', 'cold', 'cold']);
  });

  it('models on demand wait to be asked for, whatever room there is', () => {
    start(5);
    cluster.settle(models('on_demand'));
    expect(loaded()).to.deep.equal([]);
    expect(names.map(stateOf)).to.deep.equal(names.map(() => 'cold'));
    cluster.residency = viewOf(10, {}, { elm: 10 });
    cluster.settle(models('on_demand'));
    expect(loaded()).to.deep.equal(['elm']);
    expect(stateOf('elm')).to.equal('ready');
  });

  it('a model that is asked for takes the place of the least recently used, once that one is gone', () => {
    start(2);
    cluster.residency = viewOf(10, {}, { ash: 1, birch: 2 });
    cluster.settle(models('on_demand'));
    cluster.residency = viewOf(100, { ash: 50, birch: 20 }, { cedar: 100 });
    const made = cluster.round(models('on_demand'));
    expect(made.commands.map(({ command }) => command.kind)).to.deep.equal(['drain']);
    expect(made.commands[0]?.command).to.include({ model: 'birch', cause: 'others need its room' });
    expect(stateOf('birch'), 'its door is told before its worker').to.equal('cold');
    cluster.settle(models('on_demand'));
    expect(loaded()).to.deep.equal(['ash', 'cedar']);
  });

  it('a pinned model stays; what cannot come because of it is refused with the reason', () => {
    start(1);
    const registry = models('on_demand', { ash: { residency: 'pinned' } });
    cluster.settle(registry);
    cluster.residency = viewOf(1_000_000, { ash: 0 }, { birch: 1_000_000 });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['ash']);
    expect(cluster.routes.get('birch')?.versions['1']).to.deep.include({
      state: 'unplaced',
      shortOf: 'memory',
    });
  });

  it('a model that is pinned takes the place of others', () => {
    start(1);
    cluster.settle(models('always'));
    expect(loaded()).to.deep.equal(['ash']);
    const registry = models('always', { elm: { residency: 'pinned' } });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['elm']);
  });

  it('a model that no device has the budget for is refused, asked for or not', () => {
    start(0.5);
    for (const asked of [{}, { ash: 5 }]) {
      cluster.residency = viewOf(5, {}, asked);
      cluster.settle(models('on_demand'));
      expect(cluster.routes.get('ash')?.versions['1']).to.deep.include({
        state: 'unplaced',
        shortOf: 'memory',
      });
    }
  });

  it('a model on demand goes when nobody asks for its idle time, one that is always in memory stays', () => {
    start(5);
    const registry = models('on_demand', { ash: { idleMs: 500 }, birch: { residency: 'always' } });
    cluster.residency = viewOf(10, {}, { ash: 1, cedar: 2 });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['ash', 'birch', 'cedar']);
    cluster.residency = viewOf(1_000, { ash: 0, birch: 0, cedar: 0 });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['birch', 'cedar']);
    cluster.residency = viewOf(70_000, { birch: 0, cedar: 0 });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['birch']);
  });

  it('slots are given up like memory, by models on demand alone', () => {
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], slots: 2 } });
    const registry = models('on_demand', { ash: { residency: 'always' } });
    cluster.residency = viewOf(10, {}, { birch: 1 });
    cluster.settle(registry);
    cluster.residency = viewOf(20, { ash: 0, birch: 15 }, { cedar: 20 });
    cluster.settle(registry);
    expect(loaded()).to.deep.equal(['ash', 'cedar']);
  });

  it('a label that moves on a model in memory brings its new version in', () => {
    start(5);
    const record = modelRecord('ash', { versions: [1, 2], replicas: 1, residency: 'on_demand' });
    cluster.residency = viewOf(10, {}, { ash: 1 });
    cluster.settle(registrySnapshot([record]));
    cluster.residency = viewOf(20, { ash: 15 });
    cluster.settle(registrySnapshot([{ ...record, labels: { stable: 2 } }]));
    expect(cluster.routes.get('ash')?.labels).to.deep.equal({ stable: 2 });
    expect(cluster.routes.get('ash')?.versions['2']?.state).to.equal('ready');
  });

  it('without budgets, models that are always in memory are refused where slots are short, as ever', () => {
    cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], slots: 2 } });
    cluster.residency = viewOf(10, {}, { cedar: 5 });
    cluster.settle(models('always'));
    expect(loaded()).to.deep.equal(['ash', 'birch']);
    expect(cluster.routes.get('cedar')?.versions['1']).to.deep.include({ state: 'unplaced' });
  });

  const arbitraryStep = fc.record({
    used: fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 100 })),
    asked: fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 100 })),
    rounds: fc.integer({ min: 1, max: 3 }),
  });
  const arbitraryResidency = fc.constantFrom<Residency>('pinned', 'always', 'on_demand', 'prefetched');

  it('never commits more than the budget, at any step and whatever leaves meanwhile', () => {
    fc.assert(
      fc.property(
        fc.tuple(...names.map(() => fc.tuple(arbitraryResidency, fc.integer({ min: 1, max: 3 })))),
        fc.tuple(fc.integer({ min: 50, max: 500 }), fc.integer({ min: 50, max: 500 })),
        fc.array(arbitraryStep, { maxLength: 8 }),
        (shapes, [first, second], steps) => {
          const registry: RegistrySnapshot = registrySnapshot(
            names.map((name, index) => {
              const [residency, replicas] = shapes[index] ?? ['always', 1];
              const record = modelRecord(name, { residency, replicas });
              const memoryBytes = each * (0.6 + index / 4);
              return { ...record, versions: { 1: modelVersion(1, { memoryBytes }) } };
            }),
          );
          const budgets = { h1: (first / 100) * each, h2: (second / 100) * each };
          cluster = new SimulatedCluster({
            h1: { devices: ['cpu:0', 'cpu:1'], budgetBytes: budgets.h1 },
            h2: { devices: ['cpu:0'], budgetBytes: budgets.h2 },
          });
          for (const { used, asked, rounds } of [{ used: {}, asked: {}, rounds: 3 }, ...steps]) {
            cluster.residency = viewOf(100, used, asked);
            for (let round = 0; round < rounds; round += 1) {
              cluster.round(registry);
              for (const [host, budgetBytes] of Object.entries(budgets)) {
                for (const device of ['cpu:0', 'cpu:1']) {
                  const taken = cluster
                    .workers()
                    .filter((worker) => worker.host === host && worker.device === device)
                    .reduce((sum, worker) => sum + (worker.memoryChargedBytes ?? 0), 0);
                  expect(taken, `${host} ${device}`).to.be.at.most(budgetBytes);
                }
              }
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('comes to rest: with nothing new to ask for, nothing moves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 500 }), arbitraryStep, (holds, { used, asked }) => {
        start(holds / 100);
        cluster.residency = viewOf(100, used, asked);
        cluster.settle(models('always', { ash: { residency: 'on_demand' }, birch: { residency: 'pinned' } }));
        expect(
          cluster.round(models('always', { ash: { residency: 'on_demand' }, birch: { residency: 'pinned' } }))
            .commands,
        ).to.deep.equal([]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('room for a rollout', () => {
  const rollout = {
    number: 1,
    from: 1,
    to: 2,
    settings: {
      strategy: 'immediate',
      steps: [],
      bakeMs: 1_000,
      maxUnavailable: 0,
      maxCrashes: 3,
      allowGap: false,
      allowSignatureChange: false,
    },
    phase: 'staging',
    stepIndex: 0,
    paused: false,
    startedAt: '2026-01-01T00:00:00.000Z',
    phaseAt: '2026-01-01T00:00:00.000Z',
    actor: 'admin',
    story: [],
  } as const satisfies RolloutRecord;
  const ash = modelRecord('ash', { versions: [1, 2], replicas: 1 });

  function missingWith(holds: number, others: readonly ModelRecord[]): string | undefined {
    const cluster = new SimulatedCluster({
      h1: { devices: ['cpu:0'], budgetBytes: Math.floor(holds * each) },
    });
    cluster.residency = viewOf(
      10,
      {},
      {
        ash: 1,
        ...Object.fromEntries(others.map(({ name }, index) => [name, index + 2])),
      },
    );
    const registry = registrySnapshot([ash, ...others]);
    cluster.settle(registry);
    return findMissingRoom(registry, cluster.leases(), ash, rollout);
  }

  it('is there beside the old version, or where an idle model gives way', () => {
    expect(missingWith(2, [])).to.equal(undefined);
    expect(missingWith(2, [modelRecord('elm', { replicas: 1, residency: 'on_demand' })])).to.equal(undefined);
  });

  it('is there whatever the model that gives way is called, and where its slots are what is short', () => {
    const first = modelRecord('acorn', { replicas: 1, residency: 'on_demand' });
    expect(missingWith(2, [first])).to.equal(undefined);
    expect(missingWith(2, [{ ...first, residency: 'always' }])).to.equal(undefined);
    const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0', 'cpu:1'], slots: 4 } });
    cluster.residency = viewOf(10, {}, { acorn: 1, elm: 2 });
    const wide = { ...ash, replicas: 2 };
    const idle = [first, modelRecord('elm', { replicas: 1, residency: 'on_demand' })];
    const registry = registrySnapshot([wide, ...idle]);
    cluster.settle(registry);
    expect(cluster.workers()).to.have.length(4);
    expect(findMissingRoom(registry, cluster.leases(), wide, rollout)).to.equal(undefined);
    const rolling = registrySnapshot([{ ...wide, rollout }, ...idle]);
    cluster.settle(rolling);
    const there = cluster.workers().map(({ model, state, version }) => `${model} ${version} ${state}`);
    expect(there.sort()).to.deep.equal(['ash 1 serving', 'ash 1 serving', 'ash 2 serving', 'ash 2 serving']);
  });

  it('is made by an idle model that gives way, while the old version goes on', () => {
    const cluster = new SimulatedCluster({
      h1: { devices: ['cpu:0'], budgetBytes: Math.floor(2 * each) },
    });
    cluster.residency = viewOf(10, {}, { ash: 1, elm: 2 });
    const elm = modelRecord('elm', { replicas: 1, residency: 'on_demand' });
    cluster.settle(registrySnapshot([ash, elm]));
    cluster.residency = viewOf(20, { ash: 15, elm: 10 });
    const registry = registrySnapshot([{ ...ash, rollout }, elm]);
    for (let round = 0; round < 12; round += 1) {
      cluster.round(registry);
      const serving = cluster.workers().filter(({ state }) => state === 'serving');
      expect(serving.some(({ model, version }) => model === 'ash' && version === 1)).to.equal(true);
    }
    const there = cluster.workers().map(({ model, state, version }) => `${model} ${version} ${state}`);
    expect(there.sort()).to.deep.equal(['ash 1 serving', 'ash 2 serving']);
  });

  it('is given back to the standby while requests wait for it, and else to whoever asks', () => {
    const cluster = new SimulatedCluster({
      h1: { devices: ['cpu:0'], budgetBytes: Math.floor(2 * each) },
    });
    cluster.residency = viewOf(10, {}, { ash: 1 });
    cluster.settle(registrySnapshot([ash]));
    const baking = { ...ash, labels: { stable: 2 }, rollout: { ...rollout, phase: 'baking' as const } };
    const registry = registrySnapshot([baking, modelRecord('elm', { replicas: 1, residency: 'on_demand' })]);
    const there = () =>
      cluster
        .workers()
        .map(({ model, version }) => `${model} ${version}`)
        .sort();
    cluster.residency = viewOf(20, {});
    cluster.settle(registry);
    expect(there()).to.deep.equal(['ash 1', 'ash 2']);
    cluster.residency = viewOf(30, {}, { elm: 30 });
    cluster.settle(registry);
    expect(there()).to.deep.equal(['ash 2', 'elm 1']);
    cluster.residency = viewOf(40, { elm: 30 }, { ash: 40 });
    cluster.settle(registry);
    expect(there()).to.deep.equal(['ash 1', 'ash 2']);
  });

  it('is missing where old and new do not fit together, and it says what is needed, free, and the budget', () => {
    expect(missingWith(1.5, [])).to.match(
      /^on h1 cpu:0 \d+ MiB are needed, \d+ MiB are free, of a budget of \d+ MiB$/,
    );
    expect(missingWith(2, [modelRecord('elm', { replicas: 1, residency: 'pinned' })])).to.be.a('string');
  });
});
