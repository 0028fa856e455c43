/**
 * The verbs of rollouts: `rollout.start|status|pause|resume|abort|rollback`. Each order is decided on the record as it
 * is, written guarded by its revision, and told to the leader by an event, which goes on from there. Any coordinator
 * answers; what the orders mean stands in `rollout/rollout-orders.ts`.
 */
import {
  asTroupeError,
  type HostLease,
  type LeaseStore,
  type ModelRecord,
  type RegistrySnapshot,
  type RegistryStore,
  type RolloutRecord,
  type RolloutStep,
  RolloutStrategy,
  TroupeError,
  type WorkerReport,
} from '@troupe/shared';
import { type AdminEndpoint, type NatsLink, publishEvent } from '@troupe/shared/nats';
import { unknownModel } from '../data/routing-table.js';
import { fitIn } from '../rollout/fit-in.js';
import type { DecisionMoment, RolloutDecision } from '../rollout/rollout-decision.js';
import {
  abortRollout,
  pauseRollout,
  resumeRollout,
  rollBack,
  startRollout,
} from '../rollout/rollout-orders.js';
import { resolveRolloutSettings } from '../rollout/rollout-settings.js';
import * as read from './admin-arguments.js';
import { endpoint } from './admin-endpoint.js';

export interface RolloutEndpointsOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly leases: LeaseStore;
  /** Name of this coordinator. */
  readonly owner: string;
}

const actor = 'admin';
const dayMs = 24 * 3_600_000;
/** Tries of an order whose model is changed by others at the same time. */
const maxTries = 10;
/** How long a start waits for workers that were condemned before the verdict was lifted, and how often it looks. */
const leftoverWaitMs = 5_000;
const leftoverPollMs = 50;

const steps: read.Reader<readonly RolloutStep[]> = read.list(
  read.object({ percent: read.integer(1, 100), holdMs: read.integer(0, dayMs) }),
  100,
);

export function createRolloutEndpoints(options: RolloutEndpointsOptions): AdminEndpoint[] {
  const { link, registry, leases, owner } = options;

  async function readModel(name: string): Promise<{ model: ModelRecord; snapshot: RegistrySnapshot }> {
    const snapshot = await registry.read();
    const model = Object.hasOwn(snapshot.models, name) ? snapshot.models[name] : undefined;
    if (model === undefined) throw unknownModel(name, Object.keys(snapshot.models));
    return { model, snapshot };
  }

  /** Decides on the newest record until nobody was faster; `changed` is false where nothing had to be done. */
  async function order(
    name: string,
    decide: (
      model: ModelRecord,
      moment: DecisionMoment,
      snapshot: RegistrySnapshot,
    ) => RolloutDecision | undefined | Promise<RolloutDecision | undefined>,
  ) {
    for (let tries = 1; ; tries += 1) {
      const { model, snapshot } = await readModel(name);
      const decision = await decide(model, { actor, at: new Date().toISOString() }, snapshot);
      if (decision === undefined) return answer(model, await leases.listHosts(), false);
      try {
        const guard = { actor, expectedRevision: model.revision };
        const record = await registry.changeRollout(name, decision.change, guard);
        publishEvent(link, { ...decision.event, source: `coordinator/${owner}` });
        return answer(record, await leases.listHosts(), true);
      } catch (thrown) {
        const error = asTroupeError(thrown);
        if (error.reason !== 'registry.conflict' || tries >= maxTries) throw error;
      }
    }
  }

  /** Resolves once no host has a worker that was condemned before: its verdict would count for the new rollout. */
  async function waitForLeftovers(model: string, version: number): Promise<void> {
    const untilMs = performance.now() + leftoverWaitMs;
    for (;;) {
      const left = (await leases.listHosts()).flatMap(({ host, report }) =>
        report.workers
          .filter((worker) => worker.model === model && worker.version === version && worker.condemned)
          .map((worker) => `${host} ${worker.device}`),
      );
      if (left.length === 0) return;
      if (performance.now() > untilMs) {
        throw new TroupeError(
          'rollout.active',
          `the workers of version ${version} of ${model} that were condemned have not ended yet (${left.join(', ')}): start again in a moment`,
          { retryAfterMs: 1_000 },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, leftoverPollMs));
    }
  }

  const ofModel = { model: read.modelName };
  return [
    endpoint(
      'rollout.start',
      {
        model: read.modelName,
        version: read.version,
        strategy: read.optional(read.oneOf(Object.values(RolloutStrategy))),
        steps: read.optional(steps),
        bakeMs: read.optional(read.integer(0, dayMs)),
        maxUnavailable: read.optional(read.integer(0, 1_000)),
        maxCrashes: read.optional(read.integer(0, 1_000)),
        allowGap: read.optional(read.flag),
        allowSignatureChange: read.optional(read.flag),
      },
      async ({ model: name, version, ...asked }) => {
        const settings = resolveRolloutSettings(asked);
        const { model } = await readModel(name);
        if (model.versions[String(version)]?.condemned === undefined) await waitForLeftovers(name, version);
        return order(name, async (record, moment, snapshot) => {
          const decision = startRollout(record, version, settings, moment);
          if (decision === undefined) return undefined;
          return fitIn(record, decision, snapshot, await leases.listHosts(), moment);
        });
      },
    ),
    endpoint('rollout.status', ofModel, async ({ model: name }) => {
      const { model } = await readModel(name);
      return answer(model, await leases.listHosts(), false);
    }),
    endpoint('rollout.pause', ofModel, ({ model }) => order(model, pauseRollout)),
    endpoint('rollout.resume', ofModel, ({ model }) => order(model, resumeRollout)),
    endpoint('rollout.abort', ofModel, ({ model }) => order(model, abortRollout)),
    endpoint(
      'rollout.rollback',
      { model: read.modelName, to: read.optional(read.version) },
      ({ model, to }) => order(model, (record, moment) => rollBack(record, to, moment)),
    ),
  ];
}

/** A worker of one of the two versions, as far as the story needs it. */
type RolloutWorker = Pick<WorkerReport, 'version' | 'device' | 'state' | 'reason' | 'condemned'> & {
  readonly host: string;
};

/** What every verb answers: the rollout under way, or the last one, and the workers of its two versions. */
function answer(
  model: ModelRecord,
  hosts: readonly HostLease[],
  changed: boolean,
): {
  readonly model: string;
  readonly stable: number | null;
  readonly changed: boolean;
  readonly rollout: RolloutRecord | null;
  readonly workers: readonly RolloutWorker[];
} {
  const { name, labels, rollout } = model;
  const workers = hosts.flatMap(({ host, report }) =>
    report.workers
      .filter((worker) => worker.model === name)
      .filter(({ version }) => version === rollout?.to || version === rollout?.from)
      .map(({ condemned, device, reason, state, version }) => ({
        host,
        version,
        device,
        state,
        ...(reason === undefined ? {} : { reason }),
        ...(condemned === undefined ? {} : { condemned }),
      })),
  );
  return { model: name, stable: labels.stable ?? null, changed, rollout: rollout ?? null, workers };
}
