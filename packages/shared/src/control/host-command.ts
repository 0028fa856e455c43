/**
 * Commands of the leader to a host, sent as requests to `<ns>.ctl.<host>` (wire format). All are idempotent and
 * level-triggered: the leader repeats them until the host's report shows what it wants.
 *
 * A worker is keyed by (model, version, device): one worker actor serves one version on one device, takes one
 * slot, and never changes its version. Two served versions of one model are two workers, also on one device;
 * replacing a version is 'assign' of the new beside the old, 'activate', then 'drain' of the old.
 */
import type { WireError } from '../errors/troupe-error.js';
import type { Signature } from '../protocol/signature.js';
import type { BatchSettings, GoldenCase, ModelVersion, VersionLimits } from '../registry/model-record.js';

/**
 * A version on probation: a rollout has not ended. Failed runs are run once on `standby`, which answers marked
 * degraded; its snapshot is not recorded as stable yet.
 */
export interface Probation {
  /** The version that stands by: stable as the rollout began. */
  readonly standby: ModelVersion;
  /** It has no worker anywhere, as both do not fit: nothing is repeated on it. It may still be loaded in this one's place. */
  readonly alone?: boolean;
  /** Deaths of its runner that this worker bears; the next one condemns the version. */
  readonly maxCrashes: number;
}

/** What a worker is to serve: everything that it needs with Redis gone. */
export interface Assignment {
  readonly model: string;
  readonly version: ModelVersion;
  readonly device: string;
  /** Requests that the worker may hold at once. */
  readonly credits: number;
  /** Set while a rollout of this version is under way. */
  readonly probation?: Probation;
  /** The declared light variant (the version labelled `light`), for where neither standby nor snapshot can be had. */
  readonly light?: ModelVersion;
}

/** A command without its envelope. */
export type HostCommand =
  /** Have a worker for this model on this device; load this version and make it warm (and serve, once `activate` came). */
  | { readonly kind: 'assign'; readonly assignment: Assignment }
  /** Let the warm worker pull. */
  | { readonly kind: 'activate'; readonly model: string; readonly device: string; readonly version: number }
  /** Change how many requests the worker may hold. */
  | {
      readonly kind: 'credits';
      readonly model: string;
      readonly version: number;
      readonly device: string;
      readonly credits: number;
    }
  /** The version is on probation no longer: it counts as stable from now on. */
  | { readonly kind: 'confirm'; readonly model: string; readonly version: number; readonly device: string }
  /** The version is condemned: stop serving it at once, and cover its queue by the standby, snapshot or light variant. */
  | {
      readonly kind: 'condemn';
      readonly model: string;
      readonly version: number;
      readonly device: string;
      readonly cause: string;
    }
  /** Drain the worker and give its slot back. */
  | {
      readonly kind: 'drain';
      readonly model: string;
      readonly version: number;
      readonly device: string;
      readonly cause: string;
    }
  /** Have this many slots. */
  | { readonly kind: 'scale'; readonly slots: number }
  /** Have a file in the host's own store; answered once it is there. */
  | { readonly kind: 'prefetch'; readonly digest: string; readonly sizeBytes: number }
  /** Try an artifact in a throw-away process; answered with a TrialVerdict. */
  | { readonly kind: 'trial'; readonly trial: TrialRequest };

/** A command as it is sent. */
export interface HostCommandEnvelope {
  /** The leader's epoch; the host refuses lower ones than it has seen (`epoch.stale`). `undefined` for trials. */
  readonly epoch?: number;
  readonly command: HostCommand;
}

/** Answer to a command. */
export type HostCommandReply =
  | { readonly ok: true; readonly epoch: number; readonly trial?: TrialVerdict }
  | { readonly ok: false; readonly error: WireError };

/** An artifact to try. */
export interface TrialRequest {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly golden: readonly GoldenCase[];
  readonly batching: Partial<BatchSettings>;
  readonly limits: VersionLimits;
}

/** What the trial found. A refusal is the command's error, with its reason. */
export interface TrialVerdict {
  readonly signature: Signature;
  readonly batchable: boolean;
  readonly batchableReason?: string;
  /** Batching with defaults filled in: 32 rows where batchable, 1 otherwise. */
  readonly batching: BatchSettings;
  /** Proportional set size of the trial process with the model loaded, in bytes; absent where the system does not tell. */
  readonly memoryBytes?: number;
}
