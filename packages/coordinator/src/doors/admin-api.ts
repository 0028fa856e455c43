/**
 * The admin API: one NATS micro service, answered by any coordinator. Reads go to registry, leases and routing table;
 * writes go to the registry and then tell the leader by an event, so that it plans at once. Here is what each verb
 * takes and answers; arguments are read in `admin-arguments.ts`, registrations made in `registration.ts`.
 */
import {
  type ClusterSettings,
  EventKind,
  type LeaseStore,
  nearestName,
  quoteName,
  type RegistryStore,
  TroupeError,
} from '@troupe/shared';
import {
  type AdminEndpoint,
  dropDeadLetter,
  listDeadLetters,
  type NatsLink,
  publishEvent,
  recentEvents,
  replayDeadLetter,
} from '@troupe/shared/nats';
import { type RoutingTable, unknownModel } from '../data/routing-table.js';
import * as read from './admin-arguments.js';
import { endpoint } from './admin-endpoint.js';
import { renderMetrics } from './metrics-text.js';
import { describeModel, summarizeModel } from './model-views.js';
import type { Registrar } from './registration.js';
import { createResidencyEndpoint, idleMs, residency } from './residency-endpoint.js';
import { createRolloutEndpoints } from './rollout-endpoints.js';

export interface AdminOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly leases: LeaseStore;
  readonly table: RoutingTable;
  readonly registrar: Registrar;
  readonly settings: ClusterSettings;
  /** Name of this coordinator. */
  readonly owner: string;
  readonly troupeVersion: string;
}

const guard = { actor: 'admin' };
const gigabyte = 1024 ** 3;
const durationLimitMs = 3_600_000;
/** How long a registration waits for its route to show up in this coordinator's table. */
const listedWaitMs = 3_000;

/** Every verb of the admin API. */
export function createAdminEndpoints(options: AdminOptions): AdminEndpoint[] {
  return [
    ...modelEndpoints(options),
    ...createRolloutEndpoints(options),
    createResidencyEndpoint(options),
    ...hostEndpoints(options),
    ...deadEndpoints(options),
    ...recordEndpoints(options),
  ];
}

function teller({ link, owner }: AdminOptions) {
  return (kind: EventKind, text: string, data: Readonly<Record<string, unknown>>) =>
    publishEvent(link, { kind, source: `coordinator/${owner}`, text, data });
}

function modelEndpoints(options: AdminOptions): AdminEndpoint[] {
  const { registry, table, registrar } = options;
  const tell = teller(options);

  async function requireModel(name: string) {
    const { models } = await registry.read();
    const model = Object.hasOwn(models, name) ? models[name] : undefined;
    if (model === undefined) throw unknownModel(name, Object.keys(models));
    return model;
  }

  return [
    endpoint('models.list', {}, async () => {
      const { models } = await registry.read();
      const names = Object.keys(models).sort();
      return {
        models: names.flatMap((name) => {
          const model = models[name];
          return model === undefined ? [] : [summarizeModel(model, table.entry(name))];
        }),
      };
    }),

    endpoint('models.show', { model: read.modelName }, async ({ model }) =>
      describeModel(await requireModel(model), table.entry(model)),
    ),

    endpoint(
      'models.register',
      {
        name: read.modelName,
        digest: read.digest,
        sizeBytes: read.integer(1, 64 * gigabyte),
        golden: read.optional(read.goldenCases),
        batching: read.optional(
          read.object({
            maxBatchSize: read.optional(read.integer(1, 65_536)),
            maxDelayMs: read.optional(read.integer(0, 60_000)),
          }),
        ),
        limits: read.optional(
          read.object({
            runLimitMs: read.optional(read.integer(10, durationLimitMs)),
            queueLimit: read.optional(read.integer(1, 10_000_000)),
          }),
        ),
        replicas: read.optional(read.integer(0, 1_000)),
        residency: read.optional(residency),
        idleMs: read.optional(idleMs),
      },
      async (args) => {
        const { name, digest, sizeBytes } = args;
        try {
          const { record, version, created } = await registrar.register(
            {
              name,
              digest,
              sizeBytes,
              golden: args.golden ?? [],
              batching: read.present(args.batching ?? {}),
              limits: read.present(args.limits ?? {}),
              settings: read.present({
                replicas: args.replicas,
                residency: args.residency,
                idleMs: args.idleMs,
              }),
            },
            guard.actor,
          );
          const ref = { model: name, version: version.version };
          if (created)
            tell(EventKind.ModelRegistered, `version ${ref.version} of model ${name} was registered`, ref);
          const label = Object.keys(record.labels)
            .sort()
            .find((one) => record.labels[one] === ref.version);
          // Who was told of a version may ask for it: the door should know it by then. Without a leader it is told later.
          if (label !== undefined) await table.waitListed(name, ref.version, listedWaitMs);
          return { ...ref, created, ...(label === undefined ? {} : { label }) };
        } catch (error) {
          if (error instanceof TroupeError && error.reason.startsWith('model.')) {
            const { reason } = error;
            tell(EventKind.ModelRefused, `model ${name} was refused: ${error.message}`, {
              model: name,
              digest,
              reason,
            });
          }
          throw error;
        }
      },
    ),

    endpoint(
      'models.label',
      { model: read.modelName, label: read.label, version: read.nullable(read.version) },
      async ({ model, label, version }) => {
        await requireModel(model);
        const record = await registry.setLabel(model, label, version, guard);
        const text =
          version === undefined
            ? `label ${label} was taken from model ${model}`
            : `label ${label} of model ${model} names version ${version}`;
        tell(EventKind.ModelLabelled, text, { model, label, version: version ?? null });
        return { model, labels: record.labels };
      },
    ),

    endpoint(
      'models.replicas',
      { model: read.modelName, replicas: read.integer(0, 1_000) },
      async ({ model, replicas }) => {
        await requireModel(model);
        const record = await registry.setReplicas(model, replicas, guard);
        tell(EventKind.RegistryChanged, `model ${model} wants ${replicas} workers`, { model, replicas });
        return { model, replicas: record.replicas };
      },
    ),

    endpoint(
      'models.delete',
      { model: read.modelName, version: read.optional(read.version) },
      async ({ model, version }) => {
        const before = await requireModel(model);
        if (version === undefined) await registry.deleteModel(model, guard);
        else await registry.deleteVersion(model, version, guard);
        const what = version === undefined ? `model ${model}` : `version ${version} of model ${model}`;
        tell(EventKind.ModelDeleted, `${what} was deleted`, {
          model,
          ...(version === undefined ? {} : { version }),
        });
        const gone = Object.values(before.versions).filter(
          (one) => version === undefined || one.version === version,
        );
        await registrar.removeUnused(gone.map((one) => one.digest));
        return { model, deleted: gone.map((one) => one.version).sort((a, b) => a - b) };
      },
    ),

    endpoint(
      'models.retry',
      { model: read.modelName, version: read.optional(read.version) },
      async ({ model, version }) => {
        const record = await requireModel(model);
        if (version !== undefined && record.versions[String(version)] === undefined) {
          throw new TroupeError('model.version_unknown', `model ${model} has no version ${version}`);
        }
        const condemned = Object.values(record.versions).filter(
          (one) => one.condemned !== undefined && (version === undefined || one.version === version),
        );
        for (const one of condemned) await registry.setCondemned(model, one.version, undefined, guard);
        const versions = condemned.map((one) => one.version).sort((a, b) => a - b);
        if (versions.length > 0) {
          tell(EventKind.RegistryChanged, `model ${model} is tried again: version ${versions.join(', ')}`, {
            model,
            versions,
          });
        }
        return { model, retried: versions };
      },
    ),
  ];
}

function hostEndpoints(options: AdminOptions): AdminEndpoint[] {
  const { registry, leases } = options;
  const tell = teller(options);
  return [
    endpoint('hosts.list', {}, async () => {
      const [hosts, { hostSettings }] = await Promise.all([leases.listHosts(), registry.read()]);
      return {
        hosts: hosts.map((lease) => {
          const wantedSlots = hostSettings[lease.host]?.slots;
          return { ...lease, ...(wantedSlots === undefined ? {} : { wantedSlots }) };
        }),
      };
    }),

    endpoint('workers.list', {}, async () => ({
      workers: (await leases.listHosts()).flatMap(({ host, report }) =>
        report.workers.map((worker) => ({ host, ...worker })),
      ),
    })),

    endpoint(
      'hosts.scale',
      { host: read.hostName, slots: read.integer(0, 10_000) },
      async ({ host, slots }) => {
        const [hosts, { hostSettings }] = await Promise.all([leases.listHosts(), registry.read()]);
        const known = new Set([...hosts.map((lease) => lease.host), ...Object.keys(hostSettings)]);
        if (!known.has(host)) {
          const nearest = nearestName(host, known);
          const hint = nearest === undefined ? '' : `: did you mean ${nearest}?`;
          throw new TroupeError('placement.host_unknown', `host ${quoteName(host)} is not known${hint}`);
        }
        await registry.setHostSettings(host, { slots }, guard);
        tell(EventKind.RegistryChanged, `host ${host} is to have ${slots} slots`, { host, slots });
        return { host, slots };
      },
    ),
  ];
}

function deadEndpoints(options: AdminOptions): AdminEndpoint[] {
  const { link, table } = options;
  const tell = teller(options);
  const sequence = read.integer(1, Number.MAX_SAFE_INTEGER);
  return [
    endpoint(
      'dead.list',
      { count: read.optional(read.integer(1, 10_000)), model: read.optional(read.modelName) },
      async ({ count, model }) => ({ letters: await listDeadLetters(link, count ?? 100, model) }),
    ),

    endpoint('dead.replay', { sequence }, async (args) => {
      const letter = await replayDeadLetter(link, args.sequence, (model, version) => {
        table.pick(model, { version });
      });
      const { model, version } = letter;
      const text = `dead letter ${args.sequence} was sent to version ${version} of model ${model} once more`;
      tell(EventKind.RequestReplayed, text, { ...args, ...letter });
      return { ...args, ...letter, replayed: true };
    }),

    endpoint('dead.drop', { sequence }, async (args) => {
      const letter = await dropDeadLetter(link, args.sequence);
      const { model, version } = letter;
      const text = `dead letter ${args.sequence} of version ${version} of model ${model} was dropped`;
      tell(EventKind.RequestDropped, text, { ...args, ...letter });
      return { ...args, ...letter, dropped: true };
    }),
  ];
}

function recordEndpoints(options: AdminOptions): AdminEndpoint[] {
  const { link, registry, leases, settings } = options;
  const count = read.optional(read.integer(1, 10_000));
  return [
    endpoint('events.list', { count }, async (args) => ({
      events: await recentEvents(link, args.count ?? 100),
    })),

    endpoint('metrics.show', {}, async () => {
      const [hosts, leader] = await Promise.all([leases.listHosts(), leases.leader()]);
      return { text: await renderMetrics(settings.namespace, hosts, leader?.epoch) };
    }),

    endpoint('audit.list', { count }, async (args) => ({ entries: await registry.audit(args.count ?? 100) })),

    endpoint('cluster.info', {}, async () => ({
      namespace: settings.namespace,
      coordinator: options.owner,
      // Without Redis a cluster still serves: who asks for it should learn the rest.
      leader: await leases.leader().then(
        (leader) => leader ?? null,
        () => null,
      ),
      versions: { troupe: options.troupeVersion, node: process.version },
      limits: {
        maxPayloadBytes: link.maxPayloadBytes(),
        deadlineMs: settings.deadlineMs,
        runLimitMs: settings.runLimitMs,
        loadLimitMs: settings.loadLimitMs,
        queueLimit: settings.queueLimit,
        leaseTtlMs: settings.leaseTtlMs,
        ackWaitMs: settings.ackWaitMs,
      },
    })),
  ];
}
