/** What the planner makes of a rollout: where the new workers come to be, in which order, and how they go. */
import type { ModelRecord, RegistrySnapshot } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { decideStep } from '../../src/rollout/rollout-step.js';
import { viewWorkers } from '../../src/rollout/rollout-view.js';
import { modelVersion, registrySnapshot, workerReport } from '../simulated/registry-fixture.js';
import { SimulatedCluster } from '../simulated/simulated-cluster.js';
import { at, inRollout, settings, view } from './rollout-fixture.js';

const twoHosts = () => new SimulatedCluster({ h1: { devices: ['cpu:0'] }, h2: { devices: ['cpu:0'] } });
const only = (model: ModelRecord) => registrySnapshot([model]);
const stableOnly = (): ModelRecord => {
  const { rollout: _, ...model } = inRollout();
  return model;
};
const condemned = { cause: 'it answers wrongly', at };
const taken = (): ModelRecord => {
  const model = inRollout({ phase: 'rolled_back' }, 1);
  return { ...model, versions: { ...model.versions, '2': modelVersion(2, { condemned }) } };
};
const routeOf = (cluster: SimulatedCluster) => cluster.routes.get('ash');
const versionsOn = (cluster: SimulatedCluster, state: string) =>
  cluster
    .workers()
    .filter((worker) => worker.state === state)
    .map(({ version }) => version)
    .sort((one, other) => one - other);

describe('the plan of a rollout', () => {
  it('loads one worker after the other beside those of stable, on probation, and stable keeps all traffic', () => {
    const cluster = twoHosts();
    cluster.settle(only(stableOnly()));
    const model = inRollout();
    for (let round = 0; round < 12; round += 1) {
      const { commands } = cluster.round(only(model));
      for (const { command } of commands) {
        expect(command.kind).to.be.oneOf(['assign', 'activate']);
        if (command.kind !== 'assign') continue;
        expect(command.assignment.version.version).to.equal(2);
        expect(command.assignment.probation).to.deep.equal({ standby: modelVersion(1), maxCrashes: 3 });
      }
      const loading = cluster.workers().filter(({ state, version }) => version === 2 && state !== 'serving');
      expect(loading.length).to.be.at.most(1);
      expect(routeOf(cluster)).to.deep.include({
        labels: { stable: 1 },
        weights: [{ version: 1, weight: 1 }],
      });
    }
    expect(versionsOn(cluster, 'serving')).to.deep.equal([1, 1, 2, 2]);
    expect(routeOf(cluster)?.versions['2']).to.include({ state: 'ready', serving: 2 });
  });

  it('puts new workers on the devices of those that they replace', () => {
    const devices = ['cpu:0', 'cpu:1', 'cpu:2'];
    const workers = [workerReport('ash', 1, 'cpu:2')];
    const cluster = new SimulatedCluster({
      h1: { devices },
      h2: { devices, workers },
      h3: { devices },
    });
    cluster.settle(only({ ...inRollout(), replicas: 1 }));
    const young = cluster.workers().filter(({ version }) => version === 2);
    expect(young.map(({ host, device }) => `${host} ${device}`)).to.deep.equal(['h2 cpu:2']);
  });

  it('puts workers on probation that were there before, since a label named their version', () => {
    const cluster = twoHosts();
    cluster.settle(only({ ...stableOnly(), labels: { stable: 1, mine: 2 } }));
    expect(cluster.workers().some(({ probation }) => probation === true)).to.equal(false);
    cluster.settle(only({ ...inRollout(), labels: { stable: 1, mine: 2 } }));
    const proving = cluster.workers().filter(({ probation }) => probation === true);
    expect(proving.map(({ version }) => version)).to.deep.equal([2, 2]);
  });

  it('takes no slot from the stable version for a new one', () => {
    const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0', 'cpu:1'], slots: 2 } });
    cluster.settle(only(stableOnly()));
    cluster.settle(only(inRollout()));
    expect(versionsOn(cluster, 'serving')).to.deep.equal([1, 1]);
  });

  it('gives each version its share in a canary, while both can be had', () => {
    const cluster = twoHosts();
    cluster.settle(only(inRollout()));
    const canary = only(inRollout({ phase: 'canary', stepIndex: 1 }));
    cluster.settle(canary);
    expect(routeOf(cluster)?.weights).to.deep.equal([
      { version: 1, weight: 75 },
      { version: 2, weight: 25 },
    ]);
    for (const [name, shape] of cluster.shapes) {
      cluster.shapes.set(name, {
        ...shape,
        workers: (shape.workers ?? []).map((worker) => {
          const { servingVersion: _, ...failed } = worker;
          return worker.version === 2 ? { ...failed, state: 'fallback', reason: 'it died' } : worker;
        }),
      });
    }
    cluster.round(canary);
    expect(routeOf(cluster)?.weights).to.deep.equal([{ version: 1, weight: 1 }]);
  });

  it('keeps the version before as a standby through the bake, then confirms the new one and lets the old one go', () => {
    const cluster = twoHosts();
    cluster.settle(only(inRollout()));
    cluster.settle(only(inRollout({ phase: 'baking' })));
    expect(routeOf(cluster)).to.deep.include({ labels: { stable: 2 }, weights: [{ version: 2, weight: 1 }] });
    expect(versionsOn(cluster, 'serving')).to.deep.equal([1, 1, 2, 2]);
    const promoted = only(inRollout({ phase: 'promoted' }));
    const { commands } = cluster.round(promoted);
    expect(commands.map(({ command }) => command.kind)).to.deep.equal(['confirm', 'confirm']);
    expect(cluster.workers().some(({ probation }) => probation === true)).to.equal(false);
    expect(cluster.plan(promoted).retiring).to.deep.equal([{ model: 'ash', version: 1 }]);
    cluster.retired.add('ash/1');
    cluster.settle(promoted);
    expect(versionsOn(cluster, 'serving')).to.deep.equal([2, 2]);
  });

  it('gives the standby’s place to another model, and not that of anybody else', () => {
    const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0', 'cpu:1'], slots: 4 } });
    cluster.settle(only(inRollout()));
    const birch = { ...stableOnly(), name: 'birch', replicas: 1 };
    cluster.settle(registrySnapshot([inRollout({ phase: 'canary' }), birch]));
    expect(versionsOn(cluster, 'serving')).to.deep.equal([1, 1, 2, 2]);
    const baking = registrySnapshot([inRollout({ phase: 'baking' }), birch]);
    cluster.settle(baking);
    const served = cluster.workers().map(({ model, version }) => `${model} ${version}`);
    expect(served.sort()).to.deep.equal(['ash 1', 'ash 2', 'ash 2', 'birch 1']);
  });

  it('leads back at once where a version was taken back, says why it cannot be had, and condemns its workers', () => {
    const cluster = twoHosts();
    cluster.settle(only(inRollout()));
    cluster.settle(only(inRollout({ phase: 'baking' })));
    const { commands } = cluster.round(only(taken()));
    expect(routeOf(cluster)).to.deep.include({ labels: { stable: 1 }, weights: [{ version: 1, weight: 1 }] });
    expect(routeOf(cluster)?.versions['2']).to.deep.include({
      state: 'failed',
      reason: 'it was condemned: it answers wrongly',
    });
    expect(commands.map(({ command }) => command)).to.deep.equal(
      ['cpu:0', 'cpu:0'].map((device) => ({
        kind: 'condemn',
        model: 'ash',
        version: 2,
        device,
        cause: 'it answers wrongly',
      })),
    );
    // They cover what still waits for them until the grace is over.
    expect(cluster.plan(only(taken())).commands).to.deep.equal([]);
    expect(cluster.plan(only(taken())).retiring).to.deep.equal([{ model: 'ash', version: 2 }]);
    cluster.retired.add('ash/2');
    cluster.settle(only(taken()));
    expect(cluster.workers().map(({ version }) => version)).to.deep.equal([1, 1]);
  });

  it('answers by a condemned version until the one that it went back to is loaded', () => {
    const cluster = twoHosts();
    cluster.settle(only({ ...stableOnly(), labels: { stable: 2 } }));
    const registry = only(taken());
    const seen = new Set<number | undefined>();
    for (let round = 0; round < 8; round += 1) {
      cluster.round(registry);
      const route = routeOf(cluster);
      const stable = route?.labels.stable;
      expect(route?.versions[String(stable)]?.state).to.equal('ready');
      seen.add(stable);
    }
    expect([...seen]).to.deep.equal([2, 1]);
  });

  it('loads a version anew whose verdict was lifted, with workers of its own', () => {
    const old = { condemned: { cause: 'it died', kind: 'crash' as const }, state: 'fallback' as const };
    const cluster = new SimulatedCluster({
      h1: {
        devices: ['cpu:0'],
        workers: [workerReport('ash', 1, 'cpu:0'), workerReport('ash', 2, 'cpu:0', old)],
      },
    });
    const lifted = { ...inRollout({ phase: 'rolled_back' }, 1), replicas: 1 };
    cluster.settle(only(lifted));
    expect(cluster.workers().map(({ version }) => version)).to.deep.equal([1]);
    cluster.settle(only({ ...inRollout({ number: 2 }), replicas: 1 }));
    expect(versionsOn(cluster, 'serving')).to.deep.equal([1, 2]);
  });

  it('names the light variant to those that it may stand in for', () => {
    const model = { ...stableOnly(), labels: { stable: 1, light: 2 } };
    const { commands } = twoHosts().plan(only(model));
    const lights = commands.map(
      ({ command }) =>
        command.kind === 'assign' && [command.assignment.version.version, command.assignment.light?.version],
    );
    expect(lights).to.deep.include.members([
      [1, 2],
      [2, undefined],
    ]);
  });

  /** Plans and decides in turn, as the leader does, until nothing moves any more. */
  function drive(
    cluster: SimulatedCluster,
    from: ModelRecord,
    onRound: () => void = () => undefined,
  ): RegistrySnapshot {
    let registry = only(from);
    for (let round = 0; round < 60; round += 1) {
      const model = registry.models.ash;
      if (model?.rollout === undefined) throw new Error('there is no rollout');
      const { placements } = cluster.round(registry);
      onRound();
      const seen = { hosts: cluster.leases(), placements, cutOff: new Set<string>() };
      const workers = viewWorkers(model, model.rollout, seen);
      const decision = decideStep(model, view({ ...workers, heldMs: 10_000 }), at);
      const route = routeOf(cluster);
      // Whatever happens, who names no version finds one that answers.
      for (const { version } of route?.weights ?? []) {
        expect(route?.versions[String(version)]?.state).to.equal('ready');
      }
      if (decision === undefined) continue;
      const { rollout, stable, condemn } = decision.change;
      const content = modelVersion(
        2,
        condemn === undefined ? {} : { condemned: { cause: condemn.cause, at } },
      );
      registry = only({
        ...model,
        rollout,
        labels: { stable: stable ?? model.labels.stable ?? 0 },
        versions: { ...model.versions, '2': content },
      });
    }
    return registry;
  }

  for (const [replicas, maxUnavailable] of [
    [2, 1],
    [3, 1],
    [4, 2],
    [4, 9],
  ] as const) {
    for (const steps of [[], settings.steps]) {
      const how = steps.length === 0 ? 'at once' : 'step by step';
      it(`replaces ${replicas} workers ${how} where no slot is free, never with more than ${maxUnavailable} missing`, () => {
        const devices = ['cpu:0', 'cpu:1', 'cpu:2', 'cpu:3'];
        const cluster = new SimulatedCluster({ h1: { devices, slots: replicas } });
        cluster.settle(only({ ...stableOnly(), replicas }));
        let fewest: number = replicas;
        const asked = { ...settings, steps, maxUnavailable };
        const ended = drive(cluster, { ...inRollout({ settings: asked }), replicas }, () => {
          fewest = Math.min(fewest, cluster.workers().filter(({ state }) => state === 'serving').length);
        });
        expect(ended.models.ash?.rollout?.phase).to.equal('promoted');
        expect(fewest).to.be.at.least(Math.max(1, replicas - maxUnavailable));
        cluster.retired.add('ash/1');
        cluster.settle(ended);
        expect(versionsOn(cluster, 'serving')).to.deep.equal(Array.from({ length: replicas }, () => 2));
      });
    }
  }

  it('comes to its end on every cluster that has room: promoted, or taken back where it cannot be loaded', () => {
    const cases = fc.record({
      hosts: fc.integer({ min: 1, max: 4 }),
      devices: fc.integer({ min: 1, max: 3 }),
      replicas: fc.integer({ min: 1, max: 4 }),
      steps: fc.constantFrom(settings.steps, []),
      bakeMs: fc.constantFrom(0, 5_000),
      maxUnavailable: fc.integer({ min: 0, max: 3 }),
      broken: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ hosts, devices, replicas, broken, ...asked }) => {
        const names = Array.from({ length: devices }, (_, index) => `cpu:${index}`);
        const shapes = Array.from(
          { length: hosts },
          (_, index) => [`h${index}`, { devices: names }] as const,
        );
        const cluster = new SimulatedCluster(Object.fromEntries(shapes));
        cluster.settle(only({ ...stableOnly(), replicas }));
        if (broken) cluster.broken.add('ash/2');
        const ended = drive(cluster, { ...inRollout({ settings: { ...settings, ...asked } }), replicas });
        expect(ended.models.ash?.rollout?.phase).to.equal(broken ? 'rolled_back' : 'promoted');
        expect(ended.models.ash?.labels.stable).to.equal(broken ? 1 : 2);
      }),
      { numRuns: 25 },
    );
  });
});
