/**
 * The life of a coordinator's claim to lead, as a machine: campaign, renew, step down, resign. `leader-lease.ts`
 * runs it; here are neither store nor timers of the system, only delays, so that a simulated clock drives the tests.
 *
 * Invariants
 * L1  The claim ends by the local monotonic clock, at the latest one TTL after the last renewal was *sent*: never
 *     later than in the store, whose TTL begins when the renewal arrives.
 * L2  Renewals are sent every TTL/3 at most.
 * L3  Every election has a higher epoch than all before it: the store gives it out, above `minEpoch`.
 * L4  Stopping while a campaign is under way waits for its outcome, and gives back what it won.
 *
 * States
 * - `waiting`: somebody else leads, or the store did not answer. Ends after `retryMs`, when the other's lease may be over.
 * - `campaigning`: asks the store for the lease. Ends with its answer.
 * - `leading`: holds the lease. Ends at the local deadline, when a renewal is refused, or when stopped.
 * - `resigning`: gives the lease back. Ends with the store's answer, or with its failure: then the TTL ends it.
 * - `stopped`: final.
 */

import type { CampaignOutcome } from '@troupe/shared';
import { assign, emit, fromPromise, type PromiseActorLogic, setup } from 'xstate';

/** A campaign's outcome, with the local time at which it was sent. */
export interface TimedCampaign {
  readonly outcome: CampaignOutcome;
  readonly sentAtMs: number;
}

/** A renewal's outcome, with the local time at which it was sent. */
export interface TimedRenewal {
  readonly renewed: boolean;
  readonly sentAtMs: number;
}

/** What the machine is told at its start. */
export interface LeaderInput {
  readonly ttlMs: number;
  /** Monotonic, in milliseconds; the simulated clock's in tests. */
  readonly now: () => number;
}

interface LeaderContext extends LeaderInput {
  /** Of the lease held now. */
  readonly epoch: number | undefined;
  /** Local end of the lease (L1). */
  readonly heldUntilMs: number;
  readonly retryMs: number;
  readonly stopping: boolean;
}

type LeaderEvent = { readonly type: 'stop' };

/** What the machine tells its owner. */
export type LeaderEmitted =
  | { readonly type: 'elected'; readonly epoch: number }
  | { readonly type: 'deposed'; readonly epoch: number; readonly cause: string };

/** Stands in for an actor that the owner provides. */
function missing<Output, Input>(name: string): PromiseActorLogic<Output, Input> {
  return fromPromise<Output, Input>(() => Promise.reject(new Error(`${name} was not provided`)));
}

const elected = (context: LeaderContext): LeaderEmitted => ({ type: 'elected', epoch: context.epoch ?? 0 });
const deposed = (context: LeaderContext, cause: string): LeaderEmitted => ({
  type: 'deposed',
  epoch: context.epoch ?? 0,
  cause,
});

export const leaderMachine = setup({
  types: {
    input: {} as LeaderInput,
    context: {} as LeaderContext,
    events: {} as LeaderEvent,
    emitted: {} as LeaderEmitted,
  },
  actors: {
    campaign: missing<TimedCampaign, undefined>('campaign'),
    renew: missing<TimedRenewal, { readonly epoch: number }>('renew'),
    resign: missing<void, { readonly epoch: number }>('resign'),
  },
  delays: {
    retry: ({ context }) => context.retryMs,
    // From the sending of the last one, not from its answer (L2).
    renewEvery: ({ context }) => Math.max(0, context.heldUntilMs - (2 / 3) * context.ttlMs - context.now()),
    // A failed renewal is tried again soon: the deadline is near.
    renewAgain: ({ context }) => context.ttlMs / 12,
    leaseEnd: ({ context }) => Math.max(0, context.heldUntilMs - context.now()),
  },
  guards: {
    isStopping: ({ context }) => context.stopping,
  },
}).createMachine({
  id: 'leader',
  context: ({ input }) => ({
    ...input,
    epoch: undefined,
    heldUntilMs: 0,
    retryMs: input.ttlMs / 3,
    stopping: false,
  }),
  initial: 'campaigning',
  states: {
    waiting: {
      after: { retry: 'campaigning' },
      on: { stop: 'stopped' },
    },
    campaigning: {
      invoke: {
        id: 'campaign',
        src: 'campaign',
        onDone: [
          {
            guard: ({ event }) => event.output.outcome.kind === 'elected',
            target: 'won',
            actions: assign(({ event, context }) => ({
              epoch: event.output.outcome.kind === 'elected' ? event.output.outcome.epoch : undefined,
              heldUntilMs: event.output.sentAtMs + context.ttlMs,
            })),
          },
          { guard: 'isStopping', target: 'stopped' },
          {
            target: 'waiting',
            // When the holder's lease may be over, but never so late that a resignation goes unseen for long.
            actions: assign(({ event, context }) => {
              const { outcome } = event.output;
              const left = outcome.kind === 'held' ? outcome.remainingMs : context.ttlMs;
              return { retryMs: Math.min(Math.max(left, context.ttlMs / 30), context.ttlMs / 6) };
            }),
          },
        ],
        onError: [
          { guard: 'isStopping', target: 'stopped' },
          { target: 'waiting', actions: assign(({ context }) => ({ retryMs: context.ttlMs / 6 })) },
        ],
      },
      on: { stop: { actions: assign({ stopping: true }) } },
    },
    won: {
      always: [
        { guard: 'isStopping', target: 'resigning' },
        {
          // The answer came so late that the lease is over by our own clock: it never counted (L1).
          guard: ({ context }) => context.now() >= context.heldUntilMs,
          target: 'waiting',
          actions: assign(({ context }) => ({ epoch: undefined, retryMs: context.ttlMs / 6 })),
        },
        { target: 'leading', actions: emit(({ context }) => elected(context)) },
      ],
    },
    leading: {
      initial: 'holding',
      after: {
        leaseEnd: {
          target: 'waiting',
          actions: [
            emit(({ context }) => deposed(context, 'the lease could not be renewed in time')),
            assign(({ context }) => ({ epoch: undefined, retryMs: context.ttlMs / 6 })),
          ],
        },
      },
      on: {
        stop: {
          target: 'resigning',
          actions: [
            assign({ stopping: true }),
            emit(({ context }) => deposed(context, 'the coordinator stops')),
          ],
        },
      },
      states: {
        holding: { after: { renewEvery: 'renewing' } },
        renewing: {
          invoke: {
            id: 'renew',
            src: 'renew',
            input: ({ context }) => ({ epoch: context.epoch ?? 0 }),
            onDone: [
              {
                guard: ({ event }) => event.output.renewed,
                // Enters `leading` again, so that its deadline is armed anew.
                target: '#leader.leading',
                reenter: true,
                actions: assign(({ event, context }) => ({
                  heldUntilMs: event.output.sentAtMs + context.ttlMs,
                })),
              },
              {
                target: '#leader.waiting',
                actions: [
                  emit(({ context }) => deposed(context, 'somebody else holds the lease')),
                  assign(({ context }) => ({ epoch: undefined, retryMs: context.ttlMs / 6 })),
                ],
              },
            ],
            onError: 'failing',
          },
        },
        failing: { after: { renewAgain: 'renewing' } },
      },
    },
    resigning: {
      invoke: {
        id: 'resign',
        src: 'resign',
        input: ({ context }) => ({ epoch: context.epoch ?? 0 }),
        onDone: 'stopped',
        // The lease then ends by itself, one TTL later.
        onError: 'stopped',
      },
    },
    stopped: { type: 'final', entry: assign({ epoch: undefined }) },
  },
});
