/** The planner by example: what each rule means where properties say too little. */
import type { RegistrySnapshot, RoutingEntry } from '@troupe/shared';
import { expect } from 'chai';
import { type PlanContext, plan } from '../src/control/plan.js';
import { describeRouteChange } from '../src/control/route-change.js';
import {
  type HostShape,
  hostLease,
  modelRecord,
  modelVersion,
  registrySnapshot,
  workerReport,
} from './simulated/registry-fixture.js';
import { planContext, SimulatedCluster } from './simulated/simulated-cluster.js';

const serving = (model: string, version = 1, device = 'cpu:0') => workerReport(model, version, device);
const failed = (model: string, reason: string, device = 'cpu:0') => {
  const { servingVersion: _, ...rest } = workerReport(model, 1, device);
  return { ...rest, state: 'fallback' as const, reason };
};

function planFor(
  registry: RegistrySnapshot,
  hosts: Readonly<Record<string, HostShape>>,
  context: Partial<PlanContext> = {},
) {
  const leases = Object.entries(hosts).map(([name, shape]) => hostLease(name, shape));
  return plan(registry, { hosts: leases }, planContext(context));
}

const ready = (model: string, version: number, labels = { stable: version }): RoutingEntry => ({
  epoch: 1,
  model,
  labels,
  weights: [{ version, weight: 1 }],
  versions: {
    [version]: { signature: modelVersion(version).signature, serving: 1, wanted: 1, state: 'ready' },
  },
});
const previous = (...routes: RoutingEntry[]) => new Map(routes.map((route) => [route.model, route]));

describe('the planner', () => {
  const ash = (shape: Parameters<typeof modelRecord>[1] = {}) =>
    registrySnapshot([modelRecord('ash', shape)]);

  describe('placement', () => {
    it('says why a model has no worker', () => {
      const reason = (hosts: Readonly<Record<string, HostShape>>, registry = ash()) =>
        planFor(registry, hosts).routes[0]?.versions['1'];
      expect(reason({})).to.deep.include({ state: 'unplaced', reason: 'no host is up' });
      expect(reason({ h1: { stopping: true } })).to.deep.include({ reason: 'every host is stopping' });
      expect(reason({ h1: { slots: 0 } })).to.deep.include({
        reason: 'no free slot: 1 host with 0 slots in all',
      });
      const partly = reason({ h1: { devices: ['cpu:0'], slots: 5, workers: [serving('ash')] } });
      expect(partly).to.include({ state: 'ready', serving: 1, wanted: 2 });
      expect(partly?.reason).to.contain('once on each device');
    });

    it('prefers an accelerator where hosts are equal', () => {
      const { commands } = planFor(ash({ replicas: 1 }), {
        h1: { devices: ['cpu:0', 'cuda:0', 'webgpu:0'] },
      });
      expect(
        commands.map(({ command }) => command.kind === 'assign' && command.assignment.device),
      ).to.deep.equal(['cuda:0']);
    });

    it('does not ask a host again for what it refused a moment ago', () => {
      const { commands } = planFor(
        ash({ replicas: 1 }),
        { h1: { devices: ['cpu:0'] }, h2: { devices: ['cpu:0'] } },
        { refused: new Set(['h1/cpu:0/ash/1']) },
      );
      expect(commands.map(({ host }) => host)).to.deep.equal(['h2']);
    });

    it('replaces a worker that is cut off from NATS, and drains it only when the other serves', () => {
      const hosts = { h1: { workers: [serving('ash')] }, h2: { slots: 1 } };
      const { commands } = planFor(ash({ replicas: 1 }), hosts, { cutOff: new Set(['h1/cpu:0/ash/1']) });
      expect(commands.map(({ host, command }) => `${command.kind} ${host}`)).to.deep.equal(['assign h2']);
    });

    it('activates what is warm, repeats nothing that is there, and mends credits', () => {
      const { servingVersion: _, ...warm } = workerReport('ash', 1, 'cpu:0', { state: 'warm' });
      const slow = workerReport('ash', 1, 'cpu:1', { credits: 3 });
      const { commands } = planFor(ash(), { h1: { workers: [warm, slow] } });
      expect(commands).to.have.deep.members([
        { host: 'h1', command: { kind: 'activate', model: 'ash', device: 'cpu:0', version: 1 } },
        { host: 'h1', command: { kind: 'credits', model: 'ash', version: 1, device: 'cpu:1', credits: 128 } },
      ]);
    });

    it('tells a host the slots that an admin wants, and plans with the fewer of both', () => {
      const registry = registrySnapshot([modelRecord('ash')], { h1: { slots: 1 } });
      const { commands } = planFor(registry, { h1: { slots: 4 } });
      expect(commands.map(({ command }) => command.kind)).to.deep.equal(['scale', 'assign']);
    });

    it('drains the workers of a deleted model', () => {
      const { commands } = planFor(registrySnapshot([]), { h1: { workers: [serving('ash')] } });
      expect(commands.map(({ command }) => command.kind === 'drain' && command.cause)).to.deep.equal([
        'the model was deleted',
      ]);
    });
  });

  describe('routes', () => {
    it('keep a version ready while its only runner restarts, and fail it when it does not come back', () => {
      const hosts = { h1: { workers: [failed('ash', 'the runner died')] } };
      const state = (recently: string[]) =>
        planFor(ash({ replicas: 1 }), hosts, {
          previousRoutes: previous(ready('ash', 1)),
          recentlyServing: new Set(recently),
        }).routes[0]?.versions['1'];
      expect(state(['ash/1'])).to.deep.include({ state: 'ready', serving: 0 });
      expect(state([])).to.deep.include({ state: 'failed', reason: 'the runner died' });
    });

    it('keep a version ready while the workers of a dead host are placed anew', () => {
      const { routes } = planFor(ash(), { h2: {} }, { previousRoutes: previous(ready('ash', 1)) });
      expect(routes[0]?.versions['1']).to.include({ state: 'ready', serving: 0, wanted: 2 });
    });

    it('lead a label at once to a version where the one before cannot answer', () => {
      const registry = ash({ versions: [1, 2], labels: { stable: 2 } });
      const { routes } = planFor(registry, { h1: {} }, { previousRoutes: previous(ready('ash', 1)) });
      expect(routes[0]).to.deep.include({ labels: { stable: 2 }, weights: [{ version: 2, weight: 1 }] });
    });

    it('keep a label on the old version until every worker of the new one serves or has failed', () => {
      const registry = ash({ versions: [1, 2], labels: { stable: 2 } });
      const leads = (...second: ReturnType<typeof serving>[]) =>
        planFor(
          registry,
          { h1: { workers: [serving('ash'), ...second] } },
          { previousRoutes: previous(ready('ash', 1)) },
        ).routes[0]?.labels.stable;
      const { servingVersion: _, ...loading } = workerReport('ash', 2, 'cpu:1', { state: 'loading' });
      const two = serving('ash', 2);
      expect(leads()).to.equal(1);
      expect(leads(two, loading)).to.equal(1);
      expect(leads(two, { ...loading, state: 'fallback', reason: 'it does not load' })).to.equal(2);
      expect(leads(two, serving('ash', 2, 'cpu:1'))).to.equal(2);
    });

    it('have no default where no label is stable', () => {
      const { routes } = planFor(ash({ labels: { canary: 1 } }), { h1: {} });
      expect(routes[0]).to.deep.include({ labels: { canary: 1 }, weights: [] });
    });

    it('are removed with their model', () => {
      const { removedRoutes } = planFor(
        registrySnapshot([]),
        {},
        { previousRoutes: previous(ready('ash', 1)) },
      );
      expect(removedRoutes).to.deep.equal(['ash']);
    });

    it('tell their changes in words, and counts are none', () => {
      const before = ready('ash', 1);
      const after = ready('ash', 2);
      expect(describeRouteChange(before, after)).to.equal(
        'stable leads to version 2 instead of 1; version 2 is ready; version 1 left the route',
      );
      const first = before.versions['1'];
      if (first === undefined) throw new Error('the fixture has a version 1');
      expect(
        describeRouteChange(before, { ...before, versions: { '1': { ...first, serving: 7 } } }),
      ).to.equal(undefined);
    });
  });

  it('replaces a version where every slot is taken, one worker at a time', () => {
    const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0', 'cpu:1'], slots: 2 } });
    const at = (stable: number) => ash({ versions: [1, 2], labels: { stable }, replicas: 2 });
    cluster.settle(at(1));
    cluster.settle(at(2));
    // The last worker of version 1 keeps its slot until version 1 may go.
    expect(cluster.routes.get('ash')?.labels.stable).to.equal(2);
    expect(cluster.workers().map((worker) => worker.version)).to.have.members([1, 2]);
    cluster.retired.add('ash/1');
    cluster.settle(at(2));
    expect(cluster.workers().map((worker) => worker.version)).to.deep.equal([2, 2]);
  });

  it('keeps a version that left the route until its grace is over, then drains it', () => {
    const registry = ash({ versions: [1, 2], labels: { stable: 2 }, replicas: 1 });
    const hosts = { h1: { workers: [serving('ash', 1), serving('ash', 2)] } };
    const route = previous(ready('ash', 2));
    const waiting = planFor(registry, hosts, { previousRoutes: route });
    expect(waiting.commands).to.deep.equal([]);
    expect(waiting.retiring).to.deep.equal([{ model: 'ash', version: 1 }]);
    const over = planFor(registry, hosts, { previousRoutes: route, retired: new Set(['ash/1']) });
    expect(over.commands.map(({ command }) => command.kind)).to.deep.equal(['drain']);
  });
});
