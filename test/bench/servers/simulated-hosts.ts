/**
 * Hosts without workers' processes: leases with reports in Redis, renewed as real hosts renew theirs, and a registry in
 * which every model has just the workers that the reports tell of. What the control plane does with them is real.
 */
import { createSubjects, defaults, type HostReport } from '@troupe/shared';
import { connectRedis, createRedisLeaseStore, createRedisRegistryStore } from '@troupe/shared/redis';
import { connect } from 'nats';
import { serveCalls } from '../child.js';

export type HostsOrder =
  | {
      readonly kind: 'start';
      readonly natsUrl: string;
      readonly redisUrl: string;
      readonly namespace: string;
      readonly hosts: number;
      readonly models: number;
      readonly workersPerHost: number;
    }
  | { readonly kind: 'figures' };

/** Since the start. */
export interface HostsFigures {
  readonly renewals: number;
  /** Leases that were lost; none where the store keeps up. */
  readonly fenced: number;
  /** Bytes of one report as it is stored. */
  readonly reportBytes: number;
  /** Commands that the leader sent; none where everything is as it should be. */
  readonly commands: number;
}

const figures = { renewals: 0, fenced: 0, reportBytes: 0, commands: 0 };

const modelName = (index: number) => `model-${index}`;
const guard = { actor: 'bench' };
/** Registrations under way at once. */
const atOnce = 16;

async function start(order: Extract<HostsOrder, { kind: 'start' }>): Promise<void> {
  const { hosts, models, workersPerHost, namespace } = order;
  const connection = await connectRedis({ url: order.redisUrl, namespace, commandTimeoutMs: 10_000 });
  const registry = createRedisRegistryStore(connection);
  const leases = createRedisLeaseStore(connection);
  const nats = await connect({ servers: order.natsUrl });
  nats.subscribe(createSubjects(namespace).ctl('*'), {
    callback: () => {
      figures.commands += 1;
    },
  });
  for (let first = 0; first < models; first += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, models - first) }, (_, index) => first + index);
    await Promise.all(
      batch.map((index) =>
        registry.registerVersion(
          modelName(index),
          {
            digest: index.toString(16).padStart(64, '0'),
            sizeBytes: 1_000_000,
            signature: {
              inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
              outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 3] }],
            },
            batchable: true,
            batching: { maxBatchSize: 32, maxDelayMs: 0 },
            limits: {},
            golden: [],
            registeredAt: new Date().toISOString(),
          },
          { replicas: Math.floor((hosts * workersPerHost) / models) },
          guard,
        ),
      ),
    );
  }
  const every = defaults.leaseTtlMs / 3;
  for (let index = 0; index < hosts; index += 1) {
    const name = `host-${String(index).padStart(4, '0')}`;
    const report = () => hostReport(name, index, order);
    figures.reportBytes = JSON.stringify(report()).length;
    const { token } = await leases.registerHost(name, defaults.leaseTtlMs, report());
    const renew = async () => {
      figures.renewals += 1;
      const outcome = await leases.renewHost(name, token, defaults.leaseTtlMs, report());
      if (outcome.kind === 'fenced') figures.fenced += 1;
    };
    // Spread over the period, as hosts that were started at different times are.
    setTimeout(() => setInterval(() => void renew(), every), (every * index) / hosts);
  }
}

function hostReport(
  name: string,
  index: number,
  { models, workersPerHost }: { readonly models: number; readonly workersPerHost: number },
): HostReport {
  return {
    host: name,
    startedAt: '2026-01-01T00:00:00.000Z',
    pid: 1_000 + index,
    devices: Array.from({ length: workersPerHost }, (_, device) => ({
      name: `cpu:${device}`,
      kind: 'cpu' as const,
    })),
    slots: workersPerHost,
    workers: Array.from({ length: workersPerHost }, (_, device) => ({
      model: modelName((index * workersPerHost + device) % models),
      version: 1,
      device: `cpu:${device}`,
      state: 'serving' as const,
      servingVersion: 1,
      credits: defaults.credits,
      inFlight: 3,
      pid: 100_000 + index * workersPerHost + device,
      natsConnected: true,
      lastPullAgoMs: 0,
      completed: figures.renewals,
      failed: 0,
      batches: figures.renewals,
      rows: figures.renewals,
      p50Ms: 1.5,
      p99Ms: 4.5,
      memoryBytes: 150_000_000,
      crashes: 0,
    })),
    epoch: 1,
    stopping: false,
    nodeVersion: process.version,
    runtimeVersion: '1.30.0',
    troupeVersion: '0.1.0',
  };
}

serveCalls(async (order: HostsOrder): Promise<HostsFigures> => {
  if (order.kind === 'start') await start(order);
  return { ...figures };
});
