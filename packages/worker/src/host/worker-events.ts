/** Events of the worker machine and orders to its runners: one name for one thing in code, log and event. */
import type { ModelVersion } from '@troupe/shared';

/** Everything that the worker machine hears. */
export type WorkerEvent =
  // From the leader, through the host.
  | { readonly type: 'worker.activate' }
  | { readonly type: 'worker.drain'; readonly cause: string }
  | { readonly type: 'credits.changed'; readonly credits: number }
  /** From the hosts' reports: whether another worker serves the assigned version with itself. */
  | { readonly type: 'peers.changed'; readonly servedElsewhere: boolean }
  // From the runner of the assigned version.
  | { readonly type: 'runner.loaded' }
  | { readonly type: 'runner.warmed' }
  | { readonly type: 'runner.load_failed'; readonly reason: string }
  /** It has answered enough requests to count as healthy. */
  | { readonly type: 'runner.proven' }
  | { readonly type: 'runner.drained' }
  | RunnerDied
  // From the runner of the fallback version.
  | { readonly type: 'standby.warmed' }
  | { readonly type: 'standby.lost'; readonly reason: string }
  | { readonly type: 'standby.drained' };

/** The process of the assigned version's runner has ended without being asked to. */
export interface RunnerDied {
  readonly type: 'runner.died';
  readonly reason: string;
  /** The end is the fault of one request that ran alone: the version gets no blame for it. */
  readonly blameless: boolean;
}

/** Orders to a runner actor; `order.serve` again changes the credits. */
export type RunnerOrderEvent =
  | { readonly type: 'order.serve'; readonly credits: number }
  | { readonly type: 'order.cover'; readonly version: ModelVersion | undefined }
  | { readonly type: 'order.drain' };

/** What a runner actor is for. It never changes its version. */
export interface RunnerInput {
  /** `runner` tells `runner.*` events, `standby` tells `standby.*`. */
  readonly role: 'runner' | 'standby';
  readonly model: string;
  readonly device: string;
  readonly version: ModelVersion;
  readonly credits: number;
}

/** Every event type: the exhaustive table in the tests is held against this list. */
export const workerEventTypes: readonly WorkerEvent['type'][] = [
  'worker.activate',
  'worker.drain',
  'credits.changed',
  'peers.changed',
  'runner.loaded',
  'runner.warmed',
  'runner.load_failed',
  'runner.proven',
  'runner.drained',
  'runner.died',
  'standby.warmed',
  'standby.lost',
  'standby.drained',
];
