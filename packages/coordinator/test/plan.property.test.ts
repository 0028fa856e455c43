/** Properties of the planner over generated clusters. */

import type { ModelRecord, RegistrySnapshot, WorkerReport } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { versionKey } from '../src/control/worker-key.js';
import { type HostShape, modelRecord, registrySnapshot, workerReport } from './simulated/registry-fixture.js';
import { SimulatedCluster } from './simulated/simulated-cluster.js';

const modelNames = ['ash', 'birch', 'cedar', 'dogwood'];
const hostNames = ['h1', 'h2', 'h3', 'h4'];

const arbitraryModel = (name: string): fc.Arbitrary<ModelRecord> =>
  fc
    .record({
      replicas: fc.integer({ min: 1, max: 4 }),
      stable: fc.integer({ min: 1, max: 2 }),
      canary: fc.boolean(),
    })
    .map(({ replicas, stable, canary }) =>
      modelRecord(name, {
        versions: [1, 2, 3],
        labels: { stable, ...(canary ? { canary: 3 } : {}) },
        replicas,
      }),
    );

const arbitraryRegistry: fc.Arbitrary<RegistrySnapshot> = fc
  .subarray(modelNames)
  .chain((names) => fc.tuple(...names.map(arbitraryModel)))
  .map((models) => registrySnapshot(models));

const arbitraryWorkers = (devices: readonly string[]): fc.Arbitrary<WorkerReport[]> =>
  fc
    .uniqueArray(
      fc.record({
        model: fc.constantFrom(...modelNames),
        version: fc.integer({ min: 1, max: 3 }),
        device: fc.constantFrom(...devices),
        state: fc.constantFrom('loading', 'warm', 'serving', 'draining', 'fallback' as const),
      }),
      { maxLength: 6, selector: (worker) => `${versionKey(worker)}/${worker.device}` },
    )
    .map((workers) =>
      workers.map(({ model, version, device, state }) => {
        const { servingVersion: _, ...report } = workerReport(model, version, device);
        return { ...report, state, ...(state === 'serving' ? { servingVersion: version } : {}) };
      }),
    );

const arbitraryHost: fc.Arbitrary<HostShape> = fc
  .integer({ min: 1, max: 3 })
  .map((count) => Array.from({ length: count }, (_, index) => `cpu:${index}`))
  .chain((devices) =>
    fc.record({
      devices: fc.constant(devices),
      slots: fc.integer({ min: 0, max: 7 }),
      stopping: fc.boolean().map((stopping) => stopping),
      workers: arbitraryWorkers(devices),
    }),
  );

const arbitraryHosts: fc.Arbitrary<Record<string, HostShape>> = fc
  .array(arbitraryHost, { maxLength: hostNames.length })
  .map((hosts) => Object.fromEntries(hosts.map((host, index) => [hostNames[index], host])));

/** Stopping hosts drain by themselves, which the simulation leaves out. */
const running = (hosts: Record<string, HostShape>) =>
  Object.fromEntries(Object.entries(hosts).map(([name, host]) => [name, { ...host, stopping: false }]));

/** A host that already has more workers than slots is an order to drain, not the planner's doing. */
const fitting = (hosts: Record<string, HostShape>) =>
  Object.fromEntries(
    Object.entries(hosts).map(([name, host]) => [
      name,
      { ...host, slots: Math.max(host.slots ?? 0, host.workers?.length ?? 0) },
    ]),
  );

const runs = { numRuns: 300 };

describe('the planner, over generated clusters', () => {
  it('gives equal plans for equal observations, whatever the order of hosts and workers', () => {
    fc.assert(
      fc.property(arbitraryRegistry, arbitraryHosts, (registry, hosts) => {
        const reversed = Object.fromEntries(
          Object.entries(hosts)
            .reverse()
            .map(([name, host]) => [name, { ...host, workers: [...(host.workers ?? [])].reverse() }]),
        );
        const one = new SimulatedCluster(hosts).plan(registry);
        const other = new SimulatedCluster(reversed).plan(registry);
        const sorted = (commands: typeof one.commands) => commands.map((c) => JSON.stringify(c)).sort();
        expect(sorted(other.commands)).to.deep.equal(sorted(one.commands));
        expect(other.routes).to.deep.equal(one.routes);
      }),
      runs,
    );
  });

  it('comes to rest, and then has no commands', () => {
    fc.assert(
      fc.property(arbitraryRegistry, arbitraryHosts, (registry, hosts) => {
        const cluster = new SimulatedCluster(running(hosts));
        cluster.settle(registry);
        expect(cluster.plan(registry).commands).to.deep.equal([]);
      }),
      runs,
    );
  });

  it('never has more workers on a host than slots (P1), nor a version twice on a device (P2), at any step', () => {
    fc.assert(
      fc.property(arbitraryRegistry, arbitraryHosts, (registry, hosts) => {
        const cluster = new SimulatedCluster(fitting(running(hosts)));
        for (let round = 0; round < 12; round += 1) {
          cluster.round(registry);
          for (const [name, shape] of cluster.shapes) {
            const workers = shape.workers ?? [];
            expect(workers.length, `workers of ${name}`).to.be.at.most(shape.slots ?? 0);
            const places = workers.map((worker) => `${versionKey(worker)}/${worker.device}`);
            expect(new Set(places).size, `places of ${name}`).to.equal(places.length);
          }
        }
      }),
      runs,
    );
  });

  it('assigns nothing to a stopping host (P3)', () => {
    fc.assert(
      fc.property(arbitraryRegistry, arbitraryHosts, (registry, hosts) => {
        for (const { host, command } of new SimulatedCluster(hosts).plan(registry).commands) {
          expect(hosts[host]?.stopping, `${command.kind} for ${host}`).to.equal(false);
        }
      }),
      runs,
    );
  });

  it('gives a version all the workers it wants where slots are plenty, spread evenly over hosts (P5)', () => {
    fc.assert(
      fc.property(
        arbitraryRegistry,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (registry, hostCount, deviceCount) => {
          const devices = Array.from({ length: deviceCount }, (_, index) => `cpu:${index}`);
          const cluster = new SimulatedCluster(
            Object.fromEntries(hostNames.slice(0, hostCount).map((name) => [name, { devices, slots: 50 }])),
          );
          cluster.settle(registry);
          for (const model of Object.values(registry.models)) {
            for (const version of new Set(Object.values(model.labels))) {
              const workers = cluster
                .workers()
                .filter((w) => w.model === model.name && w.version === version);
              expect(workers.length).to.equal(Math.min(model.replicas, hostCount * deviceCount));
              const perHost = [...cluster.shapes.keys()].map(
                (name) => workers.filter((worker) => worker.host === name).length,
              );
              expect(Math.max(...perHost) - Math.min(...perHost)).to.be.at.most(1);
            }
          }
        },
      ),
      runs,
    );
  });

  it('gives nobody a second worker while somebody who could have one has none (P4)', () => {
    fc.assert(
      fc.property(arbitraryRegistry, fc.integer({ min: 0, max: 6 }), (registry, slots) => {
        const cluster = new SimulatedCluster({ h1: { devices: ['cpu:0', 'cpu:1'], slots } });
        cluster.settle(registry);
        const counts = Object.values(registry.models).flatMap((model) =>
          [...new Set(Object.values(model.labels))].map(
            (version) =>
              cluster.workers().filter((w) => w.model === model.name && w.version === version).length,
          ),
        );
        if (counts.includes(0)) expect(Math.max(0, ...counts)).to.be.at.most(1);
      }),
      runs,
    );
  });

  it('leaves the well placed where they are when a host comes or dies (P6)', () => {
    fc.assert(
      fc.property(
        arbitraryRegistry,
        fc.integer({ min: 2, max: 4 }),
        fc.boolean(),
        (registry, hostCount, dies) => {
          const shape = { devices: ['cpu:0', 'cpu:1'], slots: 30 };
          const names = hostNames.slice(0, hostCount);
          const cluster = new SimulatedCluster(Object.fromEntries(names.map((name) => [name, shape])));
          cluster.settle(registry);
          const before = cluster.workers();
          if (dies) cluster.shapes.delete('h1');
          else cluster.shapes.set('h9', shape);
          cluster.settle(registry);
          const after = new Set(cluster.workers().map((w) => `${w.host}/${w.device}/${versionKey(w)}`));
          for (const worker of before) {
            if (dies && worker.host === 'h1') continue;
            const doubled = before.some(
              (other) =>
                other !== worker && other.host === worker.host && versionKey(other) === versionKey(worker),
            );
            // Two of one version on a host are not well placed once another host has room.
            if (!doubled)
              expect([...after]).to.include(`${worker.host}/${worker.device}/${versionKey(worker)}`);
          }
        },
      ),
      runs,
    );
  });

  it('never leaves a label without an answering version while a new one loads', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        (replicas, slots, fails) => {
          const cluster = new SimulatedCluster({
            h1: { devices: ['cpu:0', 'cpu:1'], slots },
            h2: { devices: ['cpu:0', 'cpu:1'], slots },
          });
          const at = (stable: number) =>
            registrySnapshot([modelRecord('ash', { versions: [1, 2], labels: { stable }, replicas })]);
          cluster.settle(at(1));
          if (fails) cluster.broken.add('ash/2');
          for (let round = 0; round < 20; round += 1) {
            cluster.round(at(2));
            const stable = cluster.routes.get('ash')?.labels.stable;
            const answering = cluster
              .workers()
              .filter((worker) => worker.version === stable && worker.state === 'serving');
            expect(answering.length, `workers of version ${stable} in round ${round}`).to.be.at.least(1);
            if (fails) expect(stable).to.equal(1);
          }
          if (!fails && slots > 1) expect(cluster.routes.get('ash')?.labels.stable).to.equal(2);
        },
      ),
      runs,
    );
  });
});
