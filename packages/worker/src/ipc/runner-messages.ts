/**
 * Messages between a host and its runner processes, over the child's IPC channel. Host and runner are always of
 * one build, so this is not a wire format. The runner lives exactly as long as the channel does. What a runner holds does
 * not come this way: see `holdings-book.ts`.
 */
import type { ModelVersion, NatsAccess, NatsReplicas, Signature, WireError } from '@troupe/shared';
import type { GentleLoad } from '../runner/gentle-load.js';

/** What a runner gets as its first message; everything that it needs, so that it reads no environment of its own. */
export interface RunnerSpec {
  readonly namespace: string;
  readonly natsUrl: string;
  readonly natsAccess?: NatsAccess;
  readonly host: string;
  readonly model: string;
  readonly version: ModelVersion;
  /** `cpu:0`, `cuda:1`, `webgpu:0`. */
  readonly device: string;
  /** Verified artifact in the snapshot store: a path that stays as it is while the runner lives. */
  readonly modelPath: string;
  readonly intraOpThreads: number;
  /** Requests that it may hold at once. */
  readonly credits: number;
  readonly ackWaitMs: number;
  readonly queueLimit: number;
  readonly streamBytes: number;
  readonly natsReplicas?: NatsReplicas;
  readonly logLevel: string;
  /** Stream sequences that the worker's dead runners held: each is run alone. */
  readonly suspects?: readonly number[];
  /** On probation: the version that requests are repeated on. */
  readonly standby?: ModelVersion;
  /** Take little from the others until warm. */
  readonly loadsGently?: GentleLoad;
}

/**
 * How another version's queue is covered, each stronger than the one before: ready to pull it; pulling while its own runner
 * does, too, or will soon again, so that pinned requests are left to that; pulling for good.
 */
export const coverModes = ['ready', 'meanwhile', 'active'] as const;
export type CoverMode = (typeof coverModes)[number];

/** What became of requests of another version that were repeated here. */
export interface RepeatCounts {
  readonly answered: number;
  readonly failed: number;
}

/** Host → runner. */
export type RunnerOrder =
  /** First message: load the model, warm it, run its golden cases; does not pull yet. */
  | { readonly kind: 'load'; readonly spec: RunnerSpec }
  /** Begin (or go on) pulling with this many credits; repeats change the credits. */
  | { readonly kind: 'serve'; readonly credits: number }
  /**
   * Serve this other version's queue too (answers are marked degraded), or be `ready` to, with all made that needs a
   * round trip. Each other order is answered by one `covered` report.
   */
  | { readonly kind: 'cover'; readonly version: ModelVersion; readonly mode: CoverMode }
  | { readonly kind: 'uncover'; readonly version: number }
  /** Its version is on probation, and requests are repeated on this version; `undefined`: no longer. */
  | { readonly kind: 'probation'; readonly standby: ModelVersion | undefined }
  /** Stop pulling, finish what it holds within the bound, hand back the rest, report `drained`, exit by itself. */
  | { readonly kind: 'drain'; readonly boundMs: number };

/** A message of the stream that a runner holds: enough to rebuild its ack subject. */
export interface HeldMessage {
  readonly stream: string;
  readonly consumer: string;
  readonly streamSequence: number;
  readonly consumerSequence: number;
  readonly delivery: number;
}

/**
 * A message that is run alone, with what its host needs to answer for a runner that it has to end: a run that
 * passes the run limit alone is answered `model.run_limit` once, instead of being run again.
 */
export interface LoneMessage extends HeldMessage {
  /** Where the answer goes; absent where nobody waits for one. */
  readonly replyTo?: string;
  /** Where the empty 'done' goes, where the door asked for one. */
  readonly doneTo?: string;
  readonly requestId?: string;
}

/** Numbers of a runner, sent several times a second; its absence for `runnerSilenceMs` means that it hangs. */
export interface RunnerStatus {
  readonly kind: 'status';
  readonly natsConnected: boolean;
  /** Since a pull was last outstanding, in milliseconds; 0 while one is. `undefined` where it does not pull. */
  readonly lastPullAgoMs?: number;
  readonly inFlight: number;
  readonly completed: number;
  readonly failed: number;
  readonly batches: number;
  readonly rows: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Requests behind p50 and p99. */
  readonly samples?: number;
  /** Longest time that a message for its own version was queued, of those that arrived since the last status. */
  readonly queuedMs?: number;
  /** By the version that was asked for. */
  readonly repeats?: Readonly<Record<string, RepeatCounts>>;
  /** How long the session's present run has lasted, in milliseconds; absent where none runs. */
  readonly runningMs?: number;
  /**
   * The message in that run where it is alone, whatever its delivery. Alone with delivery > 1 as its runner dies:
   * a strike. Alone past the run limit: the host answers for it.
   */
  readonly runningAlone?: LoneMessage;
}

/** Runner → host. */
export type RunnerReport =
  | { readonly kind: 'loaded'; readonly signature: Signature; readonly loadMs: number }
  | { readonly kind: 'warmed' }
  | { readonly kind: 'load_failed'; readonly error: WireError }
  /** Sent before the run of a message with delivery > 1, and `undefined` after it: such a run may end the runner. */
  | { readonly kind: 'running_alone'; readonly message: LoneMessage | undefined }
  /** The first answer for a covered version, since it was last ordered to cover it: its time in nanoseconds. */
  | { readonly kind: 'covered'; readonly version: number; readonly answeredNs: string }
  | RunnerStatus
  | { readonly kind: 'drained'; readonly handedBack: number };
