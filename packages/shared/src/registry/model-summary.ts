/** How models look from outside (wire format): what a coordinator answers about them, and what the client hands on. */
import type { RouteVersion } from '../routing/routing-entry.js';
import type { Residency } from './model-record.js';

/** A version in the list of models. */
export interface VersionSummary {
  readonly version: number;
  /** As in the routing table; `registered` where no route leads to it. */
  readonly state: RouteVersion['state'] | 'registered';
  /** Workers that serve it now, and that are wanted. */
  readonly serving: number;
  readonly wanted: number;
  readonly batchable: boolean;
  /** SHA-256 of the artifact. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** Why it is not served as wanted. */
  readonly reason?: string;
}

/** A model in the list of models. */
export interface ModelSummary {
  readonly name: string;
  readonly labels: Readonly<Record<string, number>>;
  readonly replicas: number;
  /** When it is in memory; absent where an older cluster answers. */
  readonly residency?: Residency;
  /** Of a model on demand: how long it stays without a request, where it says so itself. */
  readonly idleMs?: number;
  readonly versions: readonly VersionSummary[];
}
