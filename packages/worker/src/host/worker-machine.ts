/**
 * The life of a worker: one version of one model on one device of this host.
 *
 * - `loading`: assigned, or its runner died; left when the session is there (`warm`), or cannot be (`fallback`).
 * - `warm`: warm-up and golden cases, then ready without pulling; left when activated (`serving`).
 * - `serving`: the runner pulls; left when told to drain, or when the runner dies (`loading`, at once after the
 *   first death, with growing pauses later; `fallback` after `maxCrashes` within a minute of health).
 * - `draining`: finishes what its runners hold, within a bound; then `stopped`.
 * - `fallback`: the assigned version cannot serve, or must not (condemned): another version covers its queue where its
 *   signature accepts: a sibling (a warm worker of the standby version on this host), else the last stable snapshot,
 *   else the declared light variant. The assigned one is tried again with growing pauses, unless it was condemned.
 *
 * On probation (a rollout has not ended) the version is condemned where it does not load, where its runner died too
 * often, and by order; the sibling covers as well while a runner is started anew, and helps while requests wait too long
 * for it; it counts as stable only when it is confirmed.
 *
 * A worker never changes its version: a new version is another worker beside this one, so that loading it leaves
 * this one untouched, and a candidate that fails is simply drained.
 *
 * The machine does nothing by itself: processes and files are behind `WorkerPorts`, run as actors that stop with
 * it; time passes only in its delays. Its `runner` and `standby` children are spawned, not invoked by a state,
 * since a runner lives from `loading` through `draining`; its `sibling` child lives as long as the worker.
 */
import type { Assignment, ModelVersion, WorkerState } from '@troupe/shared';
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
import { condemnForDeaths, isTooMany } from './probation.js';
import { condemned, mustCover, startContext, type WorkerContext } from './worker-context.js';
import type { WorkerEvent } from './worker-events.js';
import { maxCrashes, respawnPauseMs, retryPauseMs } from './worker-pauses.js';
import type { StandbyWanted, WorkerInput, WorkerPorts } from './worker-ports.js';

const healthMs = 60_000;
/** Serving for this long, or a hundred answers before, makes a version stable. */
const provenMs = 10_000;
const standbyRestMs = 10_000;
/** The runner keeps the drain bound by itself; this is for one that does not. */
const drainGraceMs = 2_000;
/** For a runner whose version was condemned by order to finish what it holds; it hands back the rest. */
const condemnBoundMs = 1_000;
/** Node fires longer timers at once. */
const longestTimerMs = 2 ** 31 - 1;

const clampDelay = (ms: number) => Math.min(Math.max(0, ms), longestTimerMs);

const types = {
  context: {} as WorkerContext,
  events: {} as WorkerEvent,
  input: {} as WorkerInput,
  children: {} as {
    runner: 'runner';
    standby: 'runner';
    sibling: 'sibling';
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
      sibling: ports.sibling,
      findStandby: fromPromise(
        ({
          input,
          signal,
        }: {
          input: StandbyWanted;
          signal: AbortSignal;
        }): Promise<ModelVersion | undefined> => ports.findStandby(input, signal),
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
      isLastCrash: ({ context, event }) => {
        if (event.type !== 'runner.died') return false;
        const { probation, probationCrashes, recentCrashes } = context;
        if (probation !== undefined) return isTooMany(probation, probationCrashes + 1);
        return !event.blameless && recentCrashes + 1 > maxCrashes;
      },
      isOnProbation: ({ context }) => context.probation !== undefined,
      isCondemned: ({ context }) => context.condemned !== undefined,
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
      runnerServes: assign({ runnerPulls: true, reason: undefined, hasServed: true }),
      orderStandbyServe: sendTo('standby', ({ context }) => ({
        type: 'order.serve' as const,
        credits: context.credits,
      })),
      orderCover: sendTo('standby', ({ context }) => ({
        type: 'order.cover' as const,
        version: mustCover(context) ? context.assignment.version : undefined,
      })),
      orderSiblingCover: sendTo('sibling', ({ context }) => ({
        type: 'order.cover' as const,
        mode: mustCover(context) ? ('active' as const) : ('ready' as const),
      })),
      /** Its runner is started anew, or is too slow: meanwhile the sibling covers, on probation. */
      coverMeanwhile: enqueueActions(({ context, enqueue }) => {
        if (context.probation !== undefined) {
          enqueue.sendTo('sibling', { type: 'order.cover' as const, mode: 'meanwhile' as const });
        }
      }),
      endSiblingCover: enqueueActions(({ enqueue }) => {
        enqueue.sendTo('sibling', { type: 'order.uncover' as const });
        enqueue.assign({ sibling: undefined });
      }),
      /** Condemned from now on: whoever covers does so whatever others serve, and says when it has answered. */
      coverForGood: enqueueActions(({ context, enqueue }) => {
        enqueue.sendTo('sibling', { type: 'order.cover' as const, mode: 'active' as const });
        if (!context.standbyPulls) return;
        enqueue.sendTo('standby', { type: 'order.cover' as const, version: context.assignment.version });
      }),
      noteSibling: assign({
        sibling: ({ context, event }) => (event.type === 'sibling.covers' ? event.version : context.sibling),
      }),
      forgetSibling: assign({ sibling: undefined }),
      /** One that was condemned by order finishes what it holds, shortly; any other is ended. */
      leaveRunner: enqueueActions(({ context, enqueue }) => {
        if (context.condemned?.kind === 'order' && context.runnerPulls) {
          enqueue.sendTo('runner', { type: 'order.drain' as const, boundMs: condemnBoundMs });
        } else {
          enqueue.stopChild('runner');
          enqueue.assign({ runnerPulls: false });
        }
      }),
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
        probationCrashes: ({ context }) =>
          context.probationCrashes + (context.probation === undefined ? 0 : 1),
        runnerPulls: false,
      }),
      noteProbation: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'worker.probation' || context.condemned !== undefined) return;
        const { probation } = event;
        enqueue.assign({
          probation,
          probationCrashes: context.probation === undefined ? 0 : context.probationCrashes,
        });
        enqueue.sendTo('sibling', { type: 'order.probation' as const, standby: probation.standby });
      }),
      noteConfirmed: enqueueActions(({ context, enqueue }) => {
        if (context.probation === undefined) return;
        enqueue.assign({ probation: undefined });
        enqueue.sendTo('sibling', { type: 'order.probation' as const, standby: undefined });
      }),
      /** It did not load, or failed the gate. */
      judgeFailure: assign(({ context }) =>
        context.probation === undefined
          ? {}
          : condemned({ kind: 'candidate', cause: context.reason ?? 'it did not load', atNs: ports.nowNs() }),
      ),
      /** After the death was noted. */
      judgeDeath: assign(({ context }) => {
        const { hasServed, probation, probationCrashes, reason } = context;
        if (probation === undefined || !isTooMany(probation, probationCrashes)) return {};
        return condemned(
          condemnForDeaths(probationCrashes, hasServed, reason ?? 'no reason is known', ports.nowNs()),
        );
      }),
      judgeByOrder: assign(({ context }) =>
        condemned({ kind: 'order', cause: context.reason ?? 'it was told to', atNs: ports.nowNs() }),
      ),
      noteReason: assign({
        reason: ({ context, event }) =>
          event.type === 'runner.died' || event.type === 'runner.load_failed'
            ? event.reason
            : event.type === 'worker.drain' || event.type === 'worker.condemn'
              ? event.cause
              : context.reason,
      }),
      noteTooSlow: assign({
        reason: ({ context }) => `it was not loaded within the load limit of ${context.times.loadLimitMs} ms`,
      }),
      noteRetry: assign({ retries: ({ context }) => context.retries + 1 }),
      forgetCrashes: assign({ recentCrashes: 0, retries: 0 }),
      forgetStandby: assign({ standby: undefined, failedStandbys: [] }),
      noteStandbyFailed: assign({
        failedStandbys: ({ context }) => [
          ...context.failedStandbys,
          ...(context.standby === undefined ? [] : [context.standby.version]),
        ],
      }),
    },
  });

  return machineSetup.createMachine({
    id: 'worker',
    context: ({ input }) => startContext(input),
    entry: spawnChild('sibling', { id: 'sibling', input: ({ context }) => context.assignment }),
    initial: 'loading',
    on: {
      'worker.activate': { actions: 'noteActivated' },
      'credits.changed': { actions: 'noteCredits' },
      'peers.changed': { actions: 'notePeers' },
      'worker.probation': { actions: 'noteProbation' },
      'worker.confirm': { actions: 'noteConfirmed' },
      'sibling.covers': { actions: 'noteSibling' },
      'sibling.lost': { actions: 'forgetSibling' },
      // A standby that was retired finishes in any state; only `fallback` cares how it ended.
      'standby.drained': { actions: ['standbyEnded', 'stopStandby'] },
      'standby.lost': { actions: ['standbyEnded', 'stopStandby'] },
    },
    states: {
      loading: {
        initial: 'starting',
        // Nothing was pulled yet: there is nothing to finish.
        on: {
          'worker.drain': { target: 'stopped', actions: 'noteReason' },
          'worker.condemn': { target: 'fallback', actions: ['noteReason', 'judgeByOrder'] },
        },
        states: {
          starting: {
            entry: 'spawnRunner',
            after: { loadLimit: { target: '#worker.fallback', actions: ['noteTooSlow', 'judgeFailure'] } },
            on: {
              'runner.loaded': '#worker.warm',
              'runner.load_failed': { target: '#worker.fallback', actions: ['noteReason', 'judgeFailure'] },
              'runner.died': [
                {
                  guard: 'isLastCrash',
                  target: '#worker.fallback',
                  actions: ['noteReason', 'noteDeath', 'judgeDeath'],
                },
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
          'worker.condemn': { target: 'fallback', actions: ['noteReason', 'judgeByOrder'] },
          'runner.died': [
            {
              guard: 'isLastCrash',
              target: 'fallback',
              actions: ['noteReason', 'noteDeath', 'judgeDeath'],
            },
            { target: 'loading.pausing', actions: ['noteReason', 'noteDeath', 'stopRunner'] },
          ],
        },
        states: {
          warming: {
            after: { loadLimit: { target: '#worker.fallback', actions: ['noteTooSlow', 'judgeFailure'] } },
            on: {
              'runner.warmed': 'ready',
              'runner.load_failed': { target: '#worker.fallback', actions: ['noteReason', 'judgeFailure'] },
            },
          },
          ready: {
            always: { guard: 'isActivated', target: '#worker.serving' },
            on: { 'worker.activate': { target: '#worker.serving', actions: 'noteActivated' } },
          },
        },
      },
      serving: {
        entry: ['runnerServes', 'orderServe', 'endSiblingCover'],
        initial: 'unproven',
        after: { health: { actions: 'forgetCrashes' } },
        on: {
          'worker.drain': { target: 'draining', actions: 'noteReason' },
          'worker.condemn': { target: 'fallback', actions: ['noteReason', 'judgeByOrder'] },
          'credits.changed': { actions: ['noteCredits', 'orderServe'] },
          'runner.lags': { actions: 'coverMeanwhile' },
          'runner.keeps_up': { actions: 'endSiblingCover' },
          'runner.died': [
            {
              guard: 'isLastCrash',
              target: 'fallback',
              actions: ['noteReason', 'noteDeath', 'judgeDeath'],
            },
            {
              target: 'loading.pausing',
              actions: ['noteReason', 'noteDeath', 'stopRunner', 'coverMeanwhile'],
            },
          ],
        },
        states: {
          unproven: {
            after: { proven: [{ guard: 'isOnProbation', target: 'awaiting' }, { target: 'recording' }] },
            on: {
              'runner.proven': [{ guard: 'isOnProbation', target: 'awaiting' }, { target: 'recording' }],
            },
          },
          // Proven, and still on probation.
          awaiting: { on: { 'worker.confirm': { target: 'recording', actions: 'noteConfirmed' } } },
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
        entry: ['leaveRunner', 'standbyEnded', 'stopStandby'],
        on: {
          'worker.drain': { target: 'draining', actions: 'noteReason' },
          // One that was condemned by order, and finished.
          'runner.drained': { actions: ['runnerEnded', 'stopRunner'] },
          'runner.died': { actions: ['noteDeath', 'stopRunner'] },
        },
        states: {
          cover: {
            initial: 'asking',
            on: { 'sibling.covers': { target: '.flipped', actions: ['noteSibling', 'retireStandby'] } },
            states: {
              asking: {
                entry: 'orderSiblingCover',
                on: { 'sibling.lost': { target: 'finding', actions: 'forgetSibling' } },
              },
              flipped: {
                on: {
                  'peers.changed': { actions: ['notePeers', 'orderSiblingCover'] },
                  'sibling.lost': { target: 'finding', actions: 'forgetSibling' },
                },
              },
              finding: {
                invoke: {
                  id: 'stableSearch',
                  src: 'findStandby',
                  input: ({ context }) => ({
                    assignment: context.assignment,
                    except: context.failedStandbys,
                  }),
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
                // One that was retired may still finish what it holds; there is room for one.
                entry: ['standbyEnded', 'stopStandby', 'spawnStandby'],
                after: { loadLimit: { target: 'finding', actions: ['noteStandbyFailed', 'stopStandby'] } },
                on: {
                  'standby.warmed': 'covering',
                  'standby.lost': { target: 'finding', actions: ['noteStandbyFailed', 'stopStandby'] },
                  'standby.drained': { target: 'finding', actions: ['noteStandbyFailed', 'stopStandby'] },
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
              waiting: {
                always: { guard: 'isCondemned', target: 'given_up' },
                after: { retryPause: 'trying' },
                on: { 'worker.condemn': { target: 'given_up', actions: ['noteReason', 'judgeByOrder'] } },
              },
              trying: {
                entry: ['noteRetry', 'spawnRunner'],
                after: {
                  loadLimit: { target: 'waiting', actions: ['noteTooSlow', 'judgeFailure', 'stopRunner'] },
                },
                on: {
                  'runner.warmed': { target: '#worker.warm.ready', actions: 'retireStandby' },
                  'runner.load_failed': {
                    target: 'waiting',
                    actions: ['noteReason', 'judgeFailure', 'stopRunner'],
                  },
                  'runner.died': {
                    target: 'waiting',
                    actions: ['noteReason', 'noteDeath', 'judgeDeath', 'stopRunner'],
                  },
                  'worker.condemn': {
                    target: 'given_up',
                    actions: ['noteReason', 'judgeByOrder', 'stopRunner'],
                  },
                },
              },
              // Condemned: never again by this worker.
              given_up: { entry: 'coverForGood' },
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

/** The version that answers now: its own, that of whoever covers for it, or none. */
export function servingVersionOf({ context }: WorkerSnapshot): number | undefined {
  const cover = context.sibling ?? (context.standbyPulls ? context.standby : undefined);
  const own = context.runnerPulls ? context.assignment.version : undefined;
  // A condemned version's runner may still finish what it holds.
  return (context.condemned === undefined ? (own ?? cover) : (cover ?? own))?.version;
}
