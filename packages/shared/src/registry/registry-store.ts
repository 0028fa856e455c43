/** Port of the model registry. The Redis store and its memory twin pass the same contract suite. */
import type { RolloutRecord } from '../rollout/rollout-record.js';
import type { HostSettings, ModelRecord, ModelVersion, Residency } from './model-record.js';

/** A version to register; the store gives it its number. */
export type NewModelVersion = Omit<ModelVersion, 'version'>;

/** Settings of a model that may come with a registration; absent ones stay as they are. */
export interface ModelSettings {
  readonly replicas?: number;
  readonly residency?: Residency;
  readonly idleMs?: number;
}

/** Everything in the registry at one revision. */
export interface RegistrySnapshot {
  /** Revision of the registry as a whole; grows with every write. */
  readonly revision: number;
  readonly models: Readonly<Record<string, ModelRecord>>;
  readonly hostSettings: Readonly<Record<string, HostSettings>>;
}

/** Who writes, and under which guard. */
export interface WriteGuard {
  /** For the audit: `admin`, `coordinator/<id>`. */
  readonly actor: string;
  /** The leader's epoch: the write is refused with `epoch.stale` where a higher one was given out. */
  readonly epoch?: number;
  /** The write is refused with `registry.conflict` where the record has another revision (0: must not exist). */
  readonly expectedRevision?: number;
}

/** A step of a rollout with what goes with it, written at once or not at all. */
export interface RolloutChange {
  readonly rollout: RolloutRecord;
  /** Where `stable` goes with this step; absent where it stays. */
  readonly stable?: number;
  /** The version that this step condemns. */
  readonly condemn?: { readonly version: number; readonly cause: string; readonly at: string };
}

/** One line of the audit. */
export interface AuditEntry {
  /** Id in the audit stream, ascending. */
  readonly id: string;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly revision: number;
}

/** What came of a registration. */
export interface RegisterOutcome {
  readonly record: ModelRecord;
  readonly version: ModelVersion;
  /** False where the same content was there already: registering is idempotent. */
  readonly created: boolean;
}

/**
 * The registry. Every write is atomic, appends to the audit, and throws
 * `registry.conflict`, `epoch.stale`, `model.unknown`, `model.version_unknown` or `redis.unreachable`.
 */
export interface RegistryStore {
  read(): Promise<RegistrySnapshot>;
  /** Revision alone: the cheap question whether anything changed. */
  revision(): Promise<number>;
  model(name: string): Promise<ModelRecord | undefined>;
  /**
   * Adds a version (and the model, where it is the first; its first version gets the label `stable`).
   * Idempotent: a version with equal `digest`, `batching`, `limits` and `golden` is returned as it is.
   */
  registerVersion(
    name: string,
    version: NewModelVersion,
    options: ModelSettings,
    guard: WriteGuard,
  ): Promise<RegisterOutcome>;
  setLabel(name: string, label: string, version: number | undefined, guard: WriteGuard): Promise<ModelRecord>;
  setReplicas(name: string, replicas: number, guard: WriteGuard): Promise<ModelRecord>;
  /** Says when the model is in memory; `idleMs` absent: as it is. */
  setResidency(
    name: string,
    residency: Residency,
    idleMs: number | undefined,
    guard: WriteGuard,
  ): Promise<ModelRecord>;
  setCondemned(
    name: string,
    version: number,
    condemned: { readonly cause: string; readonly at: string } | undefined,
    guard: WriteGuard,
  ): Promise<ModelRecord>;
  /** Writes a step of a rollout; to be guarded by the record's revision. */
  changeRollout(name: string, change: RolloutChange, guard: WriteGuard): Promise<ModelRecord>;
  /** Removes a version that no label names (`model.in_use` otherwise). */
  deleteVersion(name: string, version: number, guard: WriteGuard): Promise<ModelRecord>;
  /** Removes the model with all its versions; true where there was one. */
  deleteModel(name: string, guard: WriteGuard): Promise<boolean>;
  setHostSettings(host: string, settings: HostSettings, guard: WriteGuard): Promise<void>;
  /** The newest `count` entries, oldest first. */
  audit(count: number): Promise<AuditEntry[]>;
  /** Counts a strike against a message that ended its runner alone; returns the strikes so far. */
  addStrike(stream: string, sequence: number): Promise<number>;
  clearStrikes(stream: string, sequence: number): Promise<void>;
  close(): Promise<void>;
}
