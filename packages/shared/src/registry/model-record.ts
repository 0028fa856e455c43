/** What the registry holds of a model. Stored and sent (wire format). */

import type { Signature } from '../protocol/signature.js';
import type { Tensor } from '../protocol/tensor.js';
import type { RolloutRecord } from '../rollout/rollout-record.js';

/** Inputs with the outputs they must give, run on each device before a version may serve. OIP JSON tensors inside. */
export interface GoldenCase {
  readonly name: string;
  readonly inputs: readonly GoldenTensor[];
  readonly outputs: readonly GoldenTensor[];
  /** Tolerance: |got - expected| <= absolute + relative × |expected|. */
  readonly absolute_tolerance?: number;
  readonly relative_tolerance?: number;
}

/** A tensor in OIP JSON form, as in a request. 64-bit integers may be decimal strings. */
export interface GoldenTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly unknown[];
}

/** Batching of a version. */
export interface BatchSettings {
  /** Rows that one run may hold; 1 where batching is off. */
  readonly maxBatchSize: number;
  /** How long the oldest request of a batch may wait for company, in milliseconds. */
  readonly maxDelayMs: number;
}

/** Limits of a version; absent ones take the cluster's defaults. */
export interface VersionLimits {
  /** A run that passes this is ended with its runner, in milliseconds. */
  readonly runLimitMs?: number;
  /** Messages that may wait in the version's queue. */
  readonly queueLimit?: number;
}

/** An immutable version of a model. */
export interface ModelVersion {
  readonly version: number;
  /** SHA-256 of the artifact, lower-case hex: its name in the artifact store. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly signature: Signature;
  /** Whether requests may be merged: the verdict of the trial at registration. */
  readonly batchable: boolean;
  /** Why not, where it is not batchable. */
  readonly batchableReason?: string;
  readonly batching: BatchSettings;
  readonly limits: VersionLimits;
  readonly golden: readonly GoldenCase[];
  /** Proportional set size of the trial's process with the model loaded, in bytes: the estimate before a runner was measured. */
  readonly memoryBytes?: number;
  /** ISO 8601, the coordinator's clock. */
  readonly registeredAt: string;
  /** Set when the version was condemned; it is not placed again until an admin retries it. */
  readonly condemned?: { readonly cause: string; readonly at: string };
}

/**
 * When a model's versions are in memory. `pinned`: always, and never given up for another model. `always`: where there is
 * room; on a device with a memory budget the least recently used gives way, and comes back when it is asked for.
 * `on_demand`: from the first request until nobody has asked for `idleMs`. `prefetched`: as `on_demand`, with the file on
 * every host beforehand.
 */
export const Residency = {
  Pinned: 'pinned',
  Always: 'always',
  OnDemand: 'on_demand',
  Prefetched: 'prefetched',
} as const;
export type Residency = (typeof Residency)[keyof typeof Residency];

/** A model: its versions and the movable names on them. */
export interface ModelRecord {
  readonly name: string;
  /** Revision of this record, for compare-and-set; grows by one with every write. */
  readonly revision: number;
  /** By decimal version. */
  readonly versions: Readonly<Record<string, ModelVersion>>;
  readonly labels: Readonly<Record<string, number>>;
  /** Workers wanted for each served version. */
  readonly replicas: number;
  /** Number of the latest version ever given out; numbers are not used again after a deletion. */
  readonly latestVersion: number;
  /** Absent: `always`. */
  readonly residency?: Residency;
  /** How long a model on demand stays without a request, in milliseconds; absent: the cluster's own. */
  readonly idleMs?: number;
  /** The rollout under way, or the last one. */
  readonly rollout?: RolloutRecord;
}

/** Settings of a host that an admin may change. */
export interface HostSettings {
  readonly slots: number;
}

/** Tensors of a golden case after decoding. */
export interface DecodedGoldenCase {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly absoluteTolerance: number;
  readonly relativeTolerance: number;
}
