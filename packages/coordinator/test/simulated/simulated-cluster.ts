/**
 * Hosts that do at once what a plan tells them, without processes or clocks: for tests of the planner. Every round
 * is one plan, its commands applied, and one step forward in every worker's life.
 */
import type { HostLease, RegistrySnapshot, RoutingEntry, WorkerReport } from '@troupe/shared';
import { defaults, estimateMemory } from '@troupe/shared';
import { type Plan, type PlanContext, type PlannedCommand, plan } from '../../src/control/plan.js';
import type { ResidencyView } from '../../src/control/residency-plan.js';
import { versionKey } from '../../src/control/worker-key.js';
import { type HostShape, hostLease, workerReport } from './registry-fixture.js';

export function planContext(change: Partial<PlanContext> = {}): PlanContext {
  return {
    epoch: 7,
    credits: defaults.credits,
    previousRoutes: new Map(),
    refused: new Set(),
    cutOff: new Set(),
    recentlyServing: new Set(),
    retired: new Set(),
    ...change,
  };
}

export class SimulatedCluster {
  readonly shapes = new Map<string, HostShape>();
  routes = new Map<string, RoutingEntry>();
  /** Versions that fail to load, by key. */
  readonly broken = new Set<string>();
  /** Versions whose grace is over, by key. */
  readonly retired = new Set<string>();
  /** Use and demand, where the test is about them. */
  residency: ResidencyView | undefined;

  constructor(shapes: Readonly<Record<string, HostShape>>) {
    for (const [name, shape] of Object.entries(shapes)) this.shapes.set(name, shape);
  }

  leases(): HostLease[] {
    return [...this.shapes].map(([name, shape]) => hostLease(name, shape));
  }

  workers(): (WorkerReport & { host: string })[] {
    return [...this.shapes].flatMap(([host, shape]) =>
      (shape.workers ?? []).map((worker) => ({ ...worker, host })),
    );
  }

  plan(registry: RegistrySnapshot): Plan {
    return plan(
      registry,
      { hosts: this.leases() },
      planContext({
        previousRoutes: this.routes,
        retired: this.retired,
        ...(this.residency === undefined ? {} : { residency: this.residency }),
      }),
    );
  }

  /** One plan, applied: commands reach their hosts, routes are published, workers take one step. */
  round(registry: RegistrySnapshot): Plan {
    const made = this.plan(registry);
    this.step();
    for (const command of made.commands) this.apply(command);
    this.routes = new Map(made.routes.map((route) => [route.model, route]));
    return made;
  }

  /** Rounds until no command is left; throws where that does not happen. */
  settle(registry: RegistrySnapshot, maxRounds = 60): Plan {
    const isMoving = () =>
      this.workers().some((worker) => ['loading', 'warm', 'draining'].includes(worker.state));
    for (let count = 0; count < maxRounds; count += 1) {
      const moving = isMoving(); // before the round: a slot that it frees is seen by the next plan only
      const made = this.round(registry);
      if (made.commands.length === 0 && !moving) return made;
    }
    throw new Error(`not settled after ${maxRounds} rounds: ${JSON.stringify(this.plan(registry).commands)}`);
  }

  private step(): void {
    for (const [name, shape] of this.shapes) {
      const workers = (shape.workers ?? [])
        .filter((worker) => worker.state !== 'draining')
        .map((worker) => {
          if (worker.state !== 'loading') return worker;
          const { servingVersion: _, ...rest } = worker;
          return this.broken.has(versionKey(worker))
            ? { ...rest, state: 'fallback' as const, reason: 'it does not load' }
            : { ...rest, state: 'warm' as const };
        });
      this.shapes.set(name, { ...shape, workers });
    }
  }

  private apply({ host, command }: PlannedCommand): void {
    const shape = this.shapes.get(host);
    if (shape === undefined) throw new Error(`a command for host ${host}, which is not there`);
    let workers = [...(shape.workers ?? [])];
    const find = (model: string, version: number, device: string) =>
      workers.findIndex((w) => w.model === model && w.version === version && w.device === device);
    if (command.kind === 'scale') {
      this.shapes.set(host, { ...shape, slots: command.slots });
      return;
    }
    if (command.kind === 'assign') {
      const { model, version, device, probation } = command.assignment;
      const there = find(model, version.version, device);
      const existing = workers[there];
      if (existing !== undefined) {
        if (probation !== undefined) workers[there] = { ...existing, probation: true };
        this.shapes.set(host, { ...shape, workers });
        return;
      }
      const { servingVersion: _, ...report } = workerReport(model, version.version, device, {
        state: 'loading',
        memoryChargedBytes: estimateMemory(version, device),
        ...(probation === undefined ? {} : { probation: true }),
      });
      workers.push(report);
    } else if (command.kind !== 'trial' && command.kind !== 'prefetch') {
      const index = find(command.model, command.version, command.device);
      const worker = workers[index];
      if (worker === undefined) return; // it ended in the same moment
      if (command.kind === 'activate') {
        workers[index] = { ...worker, state: 'serving', servingVersion: worker.version };
      } else if (command.kind === 'drain') {
        workers[index] = { ...worker, state: 'draining' };
      } else if (command.kind === 'confirm') {
        const { probation: _, ...confirmed } = worker;
        workers[index] = confirmed;
      } else if (command.kind === 'condemn') {
        const condemned = { cause: command.cause, kind: 'order' as const };
        // Another version covers its queue.
        workers[index] = { ...worker, state: 'fallback', servingVersion: 1, condemned };
      } else workers[index] = { ...worker, credits: command.credits };
    }
    workers = [...workers];
    this.shapes.set(host, { ...shape, workers });
  }
}
