/** Events of the worker machine and orders to its runners: one name for one thing in code, log and event. */
import type { ModelVersion, Probation } from '@troupe/shared';
import type { CoverMode } from '../ipc/runner-messages.js';

/** Everything that the worker machine hears. */
export type WorkerEvent =
  // From the leader, through the host.
  | { readonly type: 'worker.activate' }
  | { readonly type: 'worker.drain'; readonly cause: string }
  | { readonly type: 'credits.changed'; readonly credits: number }
  /** From the hosts' reports: whether another worker serves the assigned version with itself. */
  | { readonly type: 'peers.changed'; readonly servedElsewhere: boolean }
  /** A rollout of the version began, or ended well. */
  | { readonly type: 'worker.probation'; readonly probation: Probation }
  | { readonly type: 'worker.confirm' }
  /** The version must not serve any more. */
  | { readonly type: 'worker.condemn'; readonly cause: string }
  // From the runner of the assigned version.
  | { readonly type: 'runner.loaded' }
  | { readonly type: 'runner.warmed' }
  | { readonly type: 'runner.load_failed'; readonly reason: string }
  /** It has answered enough requests to count as healthy. */
  | { readonly type: 'runner.proven' }
  /** On probation: requests wait for it in the queue, more than they should. */
  | { readonly type: 'runner.lags' }
  | { readonly type: 'runner.keeps_up' }
  | { readonly type: 'runner.drained' }
  | RunnerDied
  // From the runner of the fallback version.
  | { readonly type: 'standby.warmed' }
  | { readonly type: 'standby.lost'; readonly reason: string }
  | { readonly type: 'standby.drained' }
  // From the actor that looks after a sibling: a warm worker of the standby version on this host.
  | { readonly type: 'sibling.covers'; readonly version: ModelVersion }
  /** None covers: there is none, or none any more. */
  | { readonly type: 'sibling.lost' };

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
  /** Within the bound; default the host's drain bound. */
  | { readonly type: 'order.drain'; readonly boundMs?: number };

/** Orders to the sibling actor. Repeats do no harm. */
export type SiblingOrderEvent =
  /** The version whose worker is wanted, ready to cover at once; `undefined`: the last stable one, when needed. */
  | { readonly type: 'order.probation'; readonly standby: ModelVersion | undefined }
  /** Cover from now on, or be ready: others serve the version. Always answered by a `sibling.*` event. */
  | { readonly type: 'order.cover'; readonly mode: CoverMode }
  | { readonly type: 'order.uncover' };

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
  'worker.probation',
  'worker.confirm',
  'worker.condemn',
  'runner.loaded',
  'runner.warmed',
  'runner.load_failed',
  'runner.proven',
  'runner.lags',
  'runner.keeps_up',
  'runner.drained',
  'runner.died',
  'standby.warmed',
  'standby.lost',
  'standby.drained',
  'sibling.covers',
  'sibling.lost',
];
