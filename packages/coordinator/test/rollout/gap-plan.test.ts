/** What the planner makes of a rollout with a gap: one place, two versions, and requests that wait for whichever is to come. */
import { estimateMemory, type ModelRecord, RolloutStrategy } from '@troupe/shared';
import { expect } from 'chai';
import { abortRollout, rollBack } from '../../src/rollout/rollout-orders.js';
import { decideStep } from '../../src/rollout/rollout-step.js';
import { viewWorkers } from '../../src/rollout/rollout-view.js';
import { modelVersion, registrySnapshot } from '../simulated/registry-fixture.js';
import { SimulatedCluster } from '../simulated/simulated-cluster.js';
import { at, inRollout, moment, settings, view } from './rollout-fixture.js';

const asked = { ...settings, strategy: RolloutStrategy.Immediate, steps: [], allowGap: true };
const withGap = (): ModelRecord => ({ ...inRollout({ settings: asked, gap: true }), replicas: 1 });
const before = (): ModelRecord => {
  const { rollout: _, ...model } = withGap();
  return model;
};

/** One place, by memory or by slots. */
const grounds = {
  'one budget': () => {
    const budgetBytes = Math.floor(1.5 * estimateMemory(modelVersion(1), 'cpu:0'));
    const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0'], budgetBytes } });
    cluster.residency = { nowMs: 0, idleMs: 60_000, usedAtMs: new Map(), askedAtMs: new Map() };
    return cluster;
  },
  'one slot': () => new SimulatedCluster({ h1: { devices: ['cpu:0'], slots: 1 } }),
};

for (const [ground, start] of Object.entries(grounds)) {
  describe(`the plan of a rollout with a gap, where there is ${ground}`, () => {
    let cluster: SimulatedCluster;
    let model: ModelRecord;
    beforeEach(() => {
      cluster = start();
      cluster.settle(registrySnapshot([before()]));
      model = withGap();
    });

    /** A turn of the leader: rounds and steps, as the loop takes them. Who asks is never refused. */
    function turn(): void {
      const hosts = cluster.leases();
      const { placements } = cluster.plan(registrySnapshot([model]));
      const rollout = model.rollout;
      if (rollout !== undefined) {
        const workers = viewWorkers(model, rollout, { hosts, placements, cutOff: new Set() });
        const change = decideStep(model, view({ ...workers, heldMs: 0 }), at)?.change;
        if (change !== undefined) apply(change);
      }
      cluster.round(registrySnapshot([model]));
      const route = cluster.routes.get('ash');
      const stable = route?.labels.stable;
      expect(route?.weights).to.deep.equal([{ version: stable, weight: 1 }]);
      expect(route?.versions[String(stable)]?.state).to.be.oneOf(['ready', 'loading', 'cold']);
    }

    function apply({ condemn, rollout, stable }: NonNullable<ReturnType<typeof decideStep>>['change']): void {
      const content = modelVersion(2, condemn === undefined ? {} : { condemned: condemn });
      model = {
        ...model,
        rollout,
        labels: stable === undefined ? model.labels : { stable },
        versions: { ...model.versions, 2: content },
      };
    }

    const turns = (count: number) => {
      for (let index = 0; index < count; index += 1) turn();
    };
    const workers = () => cluster.workers().map(({ state, version }) => `${version} ${state}`);
    const stable = () => cluster.routes.get('ash')?.labels.stable;

    it('requests go to the new version at once, the old one stays until its queue is empty, and then gives its place', () => {
      turns(3);
      expect(stable()).to.equal(2);
      expect(cluster.routes.get('ash')?.versions).to.have.all.keys('2');
      expect(workers()).to.deep.equal(['1 serving']);
      cluster.retired.add('ash/1');
      turns(6);
      expect(workers()).to.deep.equal(['2 serving']);
      expect(model.rollout?.phase).to.equal('baking');
      expect(cluster.workers()[0]?.probation).to.equal(true);
      const made = cluster.plan(registrySnapshot([model]));
      expect(made.commands, 'the old version does not come back beside it').to.deep.equal([]);
    });

    it('nothing is repeated on the version that has gone', () => {
      cluster.retired.add('ash/1');
      const probations: unknown[] = [];
      for (let index = 0; index < 6; index += 1) {
        for (const { command } of cluster.plan(registrySnapshot([model])).commands) {
          if (command.kind === 'assign') probations.push(command.assignment.probation);
        }
        turn();
      }
      expect(probations[0]).to.deep.include({ alone: true, standby: modelVersion(1) });
    });

    /** Back to version 1, which waits for the place that version 2 has until its queue is empty. */
    function expectWayBack(): void {
      cluster.retired.delete('ash/1');
      turns(3);
      expect(stable()).to.equal(1);
      cluster.retired.add('ash/2');
      turns(6);
      expect(workers()).to.deep.equal(['1 serving']);
      expect(cluster.routes.get('ash')?.versions['1']?.state).to.equal('ready');
    }

    it('a new version that does not load is taken back, and the old one is loaded in its place', () => {
      cluster.broken.add('ash/2');
      cluster.retired.add('ash/1');
      turns(6);
      expect(model.rollout?.phase).to.equal('rolled_back');
      expectWayBack();
    });

    it('an admin takes it back while it bakes: the old one is loaded in its place', () => {
      cluster.retired.add('ash/1');
      turns(6);
      expect(workers()).to.deep.equal(['2 serving']);
      apply(rollBack(model, undefined, moment).change);
      expectWayBack();
    });

    it('an admin takes it back long after it was promoted: the old one is loaded in its place', () => {
      cluster.retired.add('ash/1');
      turns(6);
      model = { ...model, rollout: { ...model.rollout, phase: 'promoted' } } as ModelRecord;
      turns(3);
      expect(workers()).to.deep.equal(['2 serving']);
      apply(rollBack(model, undefined, moment).change);
      expect(model.rollout).to.not.have.property('gap');
      expectWayBack();
    });

    it('a label that is moved by hand later waits for its version, as ever', () => {
      cluster.retired.add('ash/1');
      turns(6);
      apply(rollBack(model, undefined, moment).change);
      expectWayBack();
      cluster = start();
      const third = { ...model, versions: { ...model.versions, 3: modelVersion(3) } };
      cluster.settle(registrySnapshot([{ ...third, labels: { stable: 3 } }]));
      model = { ...third, labels: { stable: 1 } };
      turns(6);
      expect(stable()).to.equal(3);
      expect(workers()).to.deep.equal(['3 serving']);
    });

    for (const [when, count] of [
      ['before the old one has gone', 0],
      ['while it loads', 3],
      ['while it bakes', 6],
    ] as const) {
      it(`an abort ${when} brings the old one back`, () => {
        if (count > 0) cluster.retired.add('ash/1');
        turns(count);
        apply(abortRollout(model, moment).change);
        cluster.retired.clear();
        turns(3);
        expect(stable()).to.equal(1);
        cluster.retired.add('ash/2');
        turns(6);
        expect(workers()).to.deep.equal(['1 serving']);
        expect(cluster.routes.get('ash')?.versions).to.have.all.keys('1');
      });
    }
  });
}
