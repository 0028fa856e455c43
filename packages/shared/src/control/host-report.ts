/** What a host tells about itself in its lease (wire format). Observed state: the planner reads nothing else. */
import type { DeviceKind } from './device.js';

/** States of the worker machine. */
export const WorkerState = {
  Loading: 'loading',
  Warm: 'warm',
  Serving: 'serving',
  Draining: 'draining',
  Fallback: 'fallback',
} as const;
export type WorkerState = (typeof WorkerState)[keyof typeof WorkerState];

/** One worker of a host. */
export interface WorkerReport {
  readonly model: string;
  /** The version that it is assigned. */
  readonly version: number;
  readonly device: string;
  readonly state: WorkerState;
  /** The version that answers now; absent where none does. Differs from `version` in fallback. */
  readonly servingVersion?: number;
  /** Why it is in this state, in plain words; always there in fallback. */
  readonly reason?: string;
  /** Requests that it may hold at once. */
  readonly credits: number;
  /** Requests that it holds. */
  readonly inFlight: number;
  /** Process id of the active runner. */
  readonly pid?: number;
  readonly natsConnected: boolean;
  /** Since the active runner last had a pull outstanding, in milliseconds. */
  readonly lastPullAgoMs?: number;
  /** Since the runner's start. */
  readonly completed: number;
  readonly failed: number;
  readonly batches: number;
  readonly rows: number;
  /** Over the last minute, in milliseconds; absent where nothing ran. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Memory of its processes, in bytes: proportional set size, on CUDA what the driver says; absent where not told. */
  readonly memoryBytes?: number;
  /** What it counts with against its device's budget: the larger of what is expected and what was measured. */
  readonly memoryChargedBytes?: number;
  /** Runners that died since the worker was assigned. */
  readonly crashes: number;
  /** True while it serves a snapshot that its host resumed by itself, since Redis was away at its start. */
  readonly unverified?: boolean;
  /** Requests behind p50 and p99. */
  readonly samples?: number;
  /** True while its version is on probation (a rollout is under way). */
  readonly probation?: boolean;
  /** Set once the version was condemned on this worker, by the host or by the leader's order. */
  readonly condemned?: { readonly cause: string; readonly kind: 'candidate' | 'crash' | 'order' };
  /**
   * Requests of other versions (by decimal version) whose run failed there and that this worker ran as the standby:
   * `answered` is evidence against that version, `failed` was the request's own fault.
   */
  readonly repeats?: Readonly<Record<string, { readonly answered: number; readonly failed: number }>>;
}

/** One device of a host. */
export interface DeviceReport {
  /** `cpu:0`, `cuda:1`, `webgpu:0`. */
  readonly name: string;
  readonly kind: DeviceKind;
  /** What its workers may use together, in bytes; absent where nothing was set. */
  readonly memoryBudgetBytes?: number;
  readonly memoryTotalBytes?: number;
  readonly memoryUsedBytes?: number;
  /** 0 to 1. */
  readonly utilisationRatio?: number;
}

/** A host: its devices, its slots, its workers. */
export interface HostReport {
  readonly host: string;
  /** ISO 8601, the host's clock; for people only. */
  readonly startedAt: string;
  readonly pid: number;
  readonly devices: readonly DeviceReport[];
  /** Workers that it has room for over all its devices. */
  readonly slots: number;
  readonly workers: readonly WorkerReport[];
  /** Highest epoch that it has seen: it refuses commands of lower ones. */
  readonly epoch: number;
  /** True from the stop order on: nothing more is placed here. */
  readonly stopping: boolean;
  /** Whether the system lets a process raise its priority again: then candidates load at the lowest. */
  readonly raisesPriority?: boolean;
  readonly nodeVersion: string;
  readonly runtimeVersion: string;
  readonly troupeVersion: string;
}
