/** Registry snapshots, host reports and leases for tests of pure parts. */
import {
  type DeviceKind,
  defaults,
  type HostLease,
  type HostReport,
  type ModelRecord,
  type ModelVersion,
  type RegistrySnapshot,
  type Residency,
  type WorkerReport,
} from '@troupe/shared';

export function modelVersion(version: number, change: Partial<ModelVersion> = {}): ModelVersion {
  return {
    version,
    digest: version.toString(16).padStart(64, '0'),
    sizeBytes: 1_000,
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
    },
    batchable: true,
    batching: { maxBatchSize: 32, maxDelayMs: 0 },
    limits: {},
    golden: [],
    registeredAt: '2026-11-01T00:00:00.000Z',
    ...change,
  };
}

export interface ModelShape {
  readonly versions?: readonly number[];
  readonly labels?: Readonly<Record<string, number>>;
  readonly replicas?: number;
  readonly residency?: Residency;
  readonly idleMs?: number;
}

export function modelRecord(name: string, shape: ModelShape = {}): ModelRecord {
  const versions = shape.versions ?? [1];
  return {
    name,
    revision: 1,
    versions: Object.fromEntries(versions.map((version) => [String(version), modelVersion(version)])),
    labels: shape.labels ?? { stable: versions[0] ?? 1 },
    replicas: shape.replicas ?? 2,
    ...(shape.residency === undefined ? {} : { residency: shape.residency }),
    ...(shape.idleMs === undefined ? {} : { idleMs: shape.idleMs }),
    latestVersion: Math.max(0, ...versions),
  };
}

export function registrySnapshot(
  models: readonly ModelRecord[],
  hostSettings: RegistrySnapshot['hostSettings'] = {},
): RegistrySnapshot {
  return {
    revision: 1,
    models: Object.fromEntries(models.map((model) => [model.name, model])),
    hostSettings,
  };
}

export function workerReport(
  model: string,
  version: number,
  device: string,
  change: Partial<WorkerReport> = {},
): WorkerReport {
  return {
    model,
    version,
    device,
    state: 'serving',
    servingVersion: version,
    credits: defaults.credits,
    inFlight: 0,
    natsConnected: true,
    completed: 0,
    failed: 0,
    batches: 0,
    rows: 0,
    crashes: 0,
    ...change,
  };
}

export interface HostShape {
  readonly devices?: readonly string[];
  readonly slots?: number;
  readonly workers?: readonly WorkerReport[];
  readonly stopping?: boolean;
  readonly epoch?: number;
  /** Of each device. */
  readonly budgetBytes?: number;
}

export function hostReport(host: string, shape: HostShape = {}): HostReport {
  const devices = shape.devices ?? ['cpu:0', 'cpu:1'];
  return {
    host,
    startedAt: '2026-11-01T00:00:00.000Z',
    pid: 1,
    devices: devices.map((name) => ({
      name,
      kind: name.split(':')[0] as DeviceKind,
      ...(shape.budgetBytes === undefined ? {} : { memoryBudgetBytes: shape.budgetBytes }),
    })),
    slots: shape.slots ?? devices.length * defaults.slotsPerDevice,
    workers: shape.workers ?? [],
    epoch: shape.epoch ?? 1,
    stopping: shape.stopping ?? false,
    nodeVersion: 'v20',
    runtimeVersion: '1.30',
    troupeVersion: '0.1.0',
  };
}

export function hostLease(host: string, shape: HostShape = {}, token = 1): HostLease {
  return { host, token, remainingMs: 3_000, report: hostReport(host, shape) };
}
