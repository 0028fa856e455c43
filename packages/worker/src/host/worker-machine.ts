/**
 * The life of a worker: one version of one model on one device of this host.
 *
 * - `loading`: assigned, or its runner died; left when the session is there (`warm`), or cannot be (`fallback`).
 * - `warm`: warm-up and golden cases, then ready without pulling; left when activated (`serving`).
 * - `serving`: the runner pulls; left when told to drain, or when the runner dies (`loading`, at once after the
 *   first death, with growing pauses later; `fallback` after `maxCrashes` within a minute of health).
 * - `draining`: finishes what its runners hold, within a bound; then `stopped`.
 * - `fallback`: the assigned version cannot serve: the last stable version of the model covers its queue where its
 *   signature accepts, while the assigned one is tried again with growing pauses.
 *
 * A worker never changes its version: a new version is another worker beside this one, so that loading it leaves
 * this one untouched, and a candidate that fails is simply drained.
 *
 * The machine does nothing by itself: processes and files are behind `WorkerPorts`, run as actors that stop with
 * it; time passes only in its delays. Its `runner` and `standby` children are spawned, not invoked by a state,
 * since a runner lives from `loading` through `draining`.
 */
import type { Assignment, ModelVersion, WorkerState } from '@troupe/shared';
import type { CallbackActorLogic } from 'xstate';
import {
  assign,
  enqueueActions,
  fromPromise,
  type SnapshotFrom,
  sendTo,
  setup,
  spawnChild,
  stopChild,
} from 'xstate';
import type { RunnerInput, RunnerOrderEvent, WorkerEvent } from './worker-events.js';

/** Logic of a runner actor: starts the process, tells its fate to the parent; its stop kills the process. */
export type RunnerLogic = CallbackActorLogic<RunnerOrderEvent, RunnerInput>;

/** What a worker needs from its host. */
export interface WorkerPorts {
  readonly runner: RunnerLogic;
  /** The last stable version of the model that could cover for this one; `undefined` where there is none. */
  findStandby(assignment: Assignment, signal: AbortSignal): Promise<ModelVersion | undefined>;
  /** Remembers the version as the last stable one, durably. */
  recordStable(assignment: Assignment, signal: AbortSignal): Promise<void>;
}

/** Settings of a worker, in milliseconds. */
export interface WorkerTimes {
  /** For each of the two steps: fetch, verify and load; warm-up and golden cases. */
  readonly loadLimitMs: number;
  readonly drainBoundMs: number;
}

export interface WorkerInput {
  readonly assignment: Assignment;
  readonly times: WorkerTimes;
}

interface WorkerContext {
  readonly assignment: Assignment;
  readonly times: WorkerTimes;
  readonly credits: number;
  /** The leader wants it to serve; remembered while it loads. */
  readonly activated: boolean;
  readonly servedElsewhere: boolean;
  /** Runners that died since the worker was assigned. */
  readonly crashes: number;
  /** Deaths that the version is to blame for, since its last minute of health. */
  readonly recentCrashes: number;
  /** Tries of the assigned version in fallback since the last minute of health. */
  readonly retries: number;
  /** Why it is not serving its version. */
  readonly reason: string | undefined;
  /** The version that covers, or will. */
  readonly standby: ModelVersion | undefined;
  /** Whether the child was told to pull and has not ended: what it holds must be finished. */
  readonly runnerPulls: boolean;
  readonly standbyPulls: boolean;
}

/** Deaths within a minute of health after which the version counts as unable to serve (the next one is it). */
export const maxCrashes = 3;
const healthMs = 60_000;
/** Serving for this long, or a hundred answers before, makes a version stable. */
const provenMs = 10_000;
const firstPauseMs = 100;
const longestPauseMs = 30_000;
const firstRetryMs = 1_000;
const standbyRestMs = 10_000;
/** The runner keeps the drain bound by itself; this is for one that does not. */
const drainGraceMs = 2_000;
/** Node fires longer timers at once. */
const longestTimerMs = 2 ** 31 - 1;

const clampDelay = (ms: number) => Math.min(Math.max(0, ms), longestTimerMs);

/** Pause before the next runner: none after the first death, then 100 ms doubling up to 30 s. */
export function respawnPauseMs(recentCrashes: number): number {
  if (recentCrashes <= 1) return 0;
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(30, recentCrashes - 2));
}

/** Pause before the assigned version is tried again in fallback: 1 s doubling up to 30 s. */
export function retryPauseMs(retries: number): number {
  return Math.min(longestPauseMs, firstRetryMs * 2 ** Math.min(30, retries));
}

const types = {
  context: {} as WorkerContext,
  events: {} as WorkerEvent,
  input: {} as WorkerInput,
  children: {} as {
    runner: 'runner';
    standby: 'runner';
    stableSearch: 'findStandby';
    stableRecord: 'recordStable';
  },
};

/** The machine over its ports. Diagram, path tests and hosts use this one definition. */
export function createWorkerMachine(ports: WorkerPorts) {
  const machineSetup = setup({
    types,
    actors: {
      runner: ports.runner,
      findStandby: fromPromise(
        ({ input, signal }: { input: Assignment; signal: AbortSignal }): Promise<ModelVersion | undefined> =>
          ports.findStandby(input, signal),
      ),
      recordStable: fromPromise(
        ({ input, signal }: { input: Assignment; signal: AbortSignal }): Promise<void> =>
          ports.recordStable(input, signal),
      ),
    },
    delays: {
      loadLimit: ({ context }) => clampDelay(context.times.loadLimitMs),
      respawnPause: ({ context }) => clampDelay(respawnPauseMs(context.recentCrashes)),
      retryPause: ({ context }) => clampDelay(retryPauseMs(context.retries)),
      proven: provenMs,
      health: healthMs,
      standbyRest: standbyRestMs,
      drainLimit: ({ context }) => clampDelay(context.times.drainBoundMs + drainGraceMs),
    },
    guards: {
      isActivated: ({ context }) => context.activated,
      isLastCrash: ({ context, event }) =>
        event.type === 'runner.died' && !event.blameless && context.recentCrashes + 1 > maxCrashes,
      holdsNothing: ({ context }) => !context.runnerPulls && !context.standbyPulls,
    },
    actions: {
      spawnRunner: spawnChild('runner', {
        id: 'runner',
        input: ({ context }) => ({
          role: 'runner' as const,
          model: context.assignment.model,
          device: context.assignment.device,
          version: context.assignment.version,
          credits: context.credits,
        }),
      }),
      stopRunner: stopChild('runner'),
      runnerEnded: assign({ runnerPulls: false }),
      spawnStandby: spawnChild('runner', {
        id: 'standby',
        input: ({ context }) => ({
          role: 'standby' as const,
          model: context.assignment.model,
          device: context.assignment.device,
          version: context.standby ?? context.assignment.version,
          credits: context.credits,
        }),
      }),
      stopStandby: stopChild('standby'),
      standbyEnded: assign({ standbyPulls: false }),
      orderServe: sendTo('runner', ({ context }) => ({
        type: 'order.serve' as const,
        credits: context.credits,
      })),
      runnerServes: assign({ runnerPulls: true, reason: undefined }),
      orderStandbyServe: sendTo('standby', ({ context }) => ({
        type: 'order.serve' as const,
        credits: context.credits,
      })),
      orderCover: sendTo('standby', ({ context }) => ({
        type: 'order.cover' as const,
        version: context.servedElsewhere ? undefined : context.assignment.version,
      })),
      standbyServes: assign({ standbyPulls: true }),
      /** Whatever pulls is told to finish; whatever does not is ended. */
      orderDrain: enqueueActions(({ context, enqueue }) => {
        if (context.runnerPulls) enqueue.sendTo('runner', { type: 'order.drain' as const });
        else enqueue.stopChild('runner');
        if (context.standbyPulls) enqueue.sendTo('standby', { type: 'order.drain' as const });
        else enqueue.stopChild('standby');
      }),
      /** The assigned version is back: the standby finishes what it holds, beside it. */
      retireStandby: enqueueActions(({ context, enqueue }) => {
        if (context.standbyPulls) enqueue.sendTo('standby', { type: 'order.drain' as const });
        else enqueue.stopChild('standby');
      }),
      noteActivated: assign({ activated: true }),
      noteCredits: assign({
        credits: ({ context, event }) => (event.type === 'credits.changed' ? event.credits : context.credits),
      }),
      notePeers: assign({
        servedElsewhere: ({ context, event }) =>
          event.type === 'peers.changed' ? event.servedElsewhere : context.servedElsewhere,
      }),
      noteDeath: assign({
        crashes: ({ context }) => context.crashes + 1,
        recentCrashes: ({ context, event }) =>
          context.recentCrashes + (event.type === 'runner.died' && !event.blameless ? 1 : 0),
        runnerPulls: false,
      }),
      noteReason: assign({
        reason: ({ context, event }) =>
          event.type === 'runner.died' || event.type === 'runner.load_failed'
            ? event.reason
            : event.type === 'worker.drain'
              ? event.cause
              : context.reason,
      }),
      noteTooSlow: assign({
        reason: ({ context }) => `it was not loaded within the load limit of ${context.times.loadLimitMs} ms`,
      }),
      noteRetry: assign({ retries: ({ context }) => context.retries + 1 }),
      forgetCrashes: assign({ recentCrashes: 0, retries: 0 }),
      forgetStandby: assign({ standby: undefined }),
    },
  });

  return machineSetup.createMachine({
    id: 'worker',
    context: ({ input }) => ({
      assignment: input.assignment,
      times: input.times,
      credits: input.assignment.credits,
      activated: false,
      servedElsewhere: false,
      crashes: 0,
      recentCrashes: 0,
      retries: 0,
      reason: undefined,
      standby: undefined,
      runnerPulls: false,
      standbyPulls: false,
    }),
    initial: 'loading',
    on: {
      'worker.activate': { actions: 'noteActivated' },
      'credits.changed': { actions: 'noteCredits' },
      'peers.changed': { actions: 'notePeers' },
      // A standby that was retired finishes in any state; only `fallback` cares how it ended.
      'standby.drained': { actions: ['standbyEnded', 'stopStandby'] },
      'standby.lost': { actions: ['standbyEnded', 'stopStandby'] },
    },
    states: {
      loading: {
        initial: 'starting',
        // Nothing was pulled yet: there is nothing to finish.
        on: { 'worker.drain': { target: 'stopped', actions: 'noteReason' } },
        states: {
          starting: {
            entry: 'spawnRunner',
            after: { loadLimit: { target: '#worker.fallback', actions: 'noteTooSlow' } },
            on: {
              'runner.loaded': '#worker.warm',
              'runner.load_failed': { target: '#worker.fallback', actions: 'noteReason' },
              'runner.died': [
                { guard: 'isLastCrash', target: '#worker.fallback', actions: ['noteReason', 'noteDeath'] },
                { target: 'pausing', actions: ['noteReason', 'noteDeath', 'stopRunner'] },
              ],
            },
          },
          pausing: { after: { respawnPause: 'starting' } },
        },
      },
      warm: {
        initial: 'warming',
        on: {
          'worker.drain': { target: 'stopped', actions: 'noteReason' },
          'runner.died': [
            { guard: 'isLastCrash', target: 'fallback', actions: ['noteReason', 'noteDeath'] },
            { target: 'loading.pausing', actions: ['noteReason', 'noteDeath', 'stopRunner'] },
          ],
        },
        states: {
          warming: {
            after: { loadLimit: { target: '#worker.fallback', actions: 'noteTooSlow' } },
            on: {
              'runner.warmed': 'ready',
              'runner.load_failed': { target: '#worker.fallback', actions: 'noteReason' },
            },
          },
          ready: {
            always: { guard: 'isActivated', target: '#worker.serving' },
            on: { 'worker.activate': { target: '#worker.serving', actions: 'noteActivated' } },
          },
        },
      },
      serving: {
        entry: ['runnerServes', 'orderServe'],
        initial: 'unproven',
        after: { health: { actions: 'forgetCrashes' } },
        on: {
          'worker.drain': { target: 'draining', actions: 'noteReason' },
          'credits.changed': { actions: ['noteCredits', 'orderServe'] },
          'runner.died': [
            { guard: 'isLastCrash', target: 'fallback', actions: ['noteReason', 'noteDeath'] },
            { target: 'loading.pausing', actions: ['noteReason', 'noteDeath', 'stopRunner'] },
          ],
        },
        states: {
          unproven: { after: { proven: 'recording' }, on: { 'runner.proven': 'recording' } },
          recording: {
            invoke: {
              id: 'stableRecord',
              src: 'recordStable',
              input: ({ context }) => context.assignment,
              onDone: 'proven',
              onError: 'proven', // the port has logged it; serving does not depend on the record
            },
          },
          proven: {},
        },
      },
      fallback: {
        type: 'parallel',
        entry: ['runnerEnded', 'stopRunner', 'standbyEnded', 'stopStandby'],
        on: { 'worker.drain': { target: 'draining', actions: 'noteReason' } },
        states: {
          cover: {
            initial: 'finding',
            states: {
              finding: {
                invoke: {
                  id: 'stableSearch',
                  src: 'findStandby',
                  input: ({ context }) => context.assignment,
                  onDone: [
                    {
                      guard: ({ event }) => event.output !== undefined,
                      target: 'preparing',
                      actions: assign({ standby: ({ event }) => event.output }),
                    },
                    { target: 'resting' },
                  ],
                  onError: 'resting',
                },
              },
              preparing: {
                entry: 'spawnStandby',
                after: { loadLimit: 'resting' },
                on: {
                  'standby.warmed': 'covering',
                  'standby.lost': 'resting',
                  'standby.drained': 'resting',
                },
              },
              covering: {
                entry: ['standbyServes', 'orderStandbyServe', 'orderCover'],
                on: {
                  'credits.changed': { actions: ['noteCredits', 'orderStandbyServe'] },
                  'peers.changed': { actions: ['notePeers', 'orderCover'] },
                  'standby.lost': 'resting',
                  'standby.drained': 'resting',
                },
              },
              // Without a standby; looks for one again later, since another worker may have made one stable.
              resting: {
                entry: ['standbyEnded', 'stopStandby', 'forgetStandby'],
                after: { standbyRest: 'finding' },
              },
            },
          },
          retry: {
            initial: 'waiting',
            states: {
              waiting: { after: { retryPause: 'trying' } },
              trying: {
                entry: ['noteRetry', 'spawnRunner'],
                after: { loadLimit: { target: 'waiting', actions: ['noteTooSlow', 'stopRunner'] } },
                on: {
                  'runner.warmed': { target: '#worker.warm.ready', actions: 'retireStandby' },
                  'runner.load_failed': { target: 'waiting', actions: ['noteReason', 'stopRunner'] },
                  'runner.died': { target: 'waiting', actions: ['noteReason', 'noteDeath', 'stopRunner'] },
                },
              },
            },
          },
        },
      },
      draining: {
        entry: 'orderDrain',
        always: { guard: 'holdsNothing', target: 'stopped' },
        after: { drainLimit: 'stopped' },
        on: {
          'runner.drained': { actions: ['runnerEnded', 'stopRunner'] },
          'runner.died': { actions: ['noteDeath', 'stopRunner'] },
        },
      },
      stopped: { type: 'final' },
    },
  });
}

export type WorkerMachine = ReturnType<typeof createWorkerMachine>;
export type WorkerSnapshot = SnapshotFrom<WorkerMachine>;

/** The state that is reported; `undefined` once it has stopped. */
export function workerStateOf(snapshot: WorkerSnapshot): WorkerState | undefined {
  const { value } = snapshot;
  const top = typeof value === 'string' ? value : Object.keys(value)[0];
  return top === 'stopped' || snapshot.status !== 'active' ? undefined : (top as WorkerState);
}

/** The version that answers now: its own, the standby's, or none. */
export function servingVersionOf(snapshot: WorkerSnapshot): number | undefined {
  const { context } = snapshot;
  if (context.runnerPulls) return context.assignment.version.version;
  if (context.standbyPulls) return context.standby?.version;
  return undefined;
}
