/**
 * The leader lease of a coordinator: runs the leader machine on a lease store. Owned by `coordinator.ts`, which
 * starts the control loop when elected and stops it when deposed.
 */

import type { LeaseStore, Log } from '@troupe/shared';
import { createActor, fromPromise } from 'xstate';
import { leaderMachine, type TimedCampaign, type TimedRenewal } from './leader-machine.js';

/** A clock for the machine: the system's, or XState's simulated one. */
export interface LeaderClock {
  setTimeout(fn: (...args: unknown[]) => void, timeoutMs: number): unknown;
  clearTimeout(id: unknown): void;
}

export interface LeaderLeaseOptions {
  readonly store: LeaseStore;
  /** Name of this coordinator. */
  readonly owner: string;
  readonly ttlMs: number;
  /** The highest epoch seen anywhere but in the store: routing bucket, hosts' reports. The new one is above it. */
  readonly minEpoch: () => Promise<number>;
  readonly onElected: (epoch: number) => void;
  readonly onDeposed: (epoch: number, cause: string) => void;
  readonly log: Log;
  /** For tests. */
  readonly clock?: LeaderClock & { now(): number };
}

export interface LeaderLease {
  start(): void;
  /** The epoch under which this coordinator leads at this very moment, by its own clock (L1). */
  epoch(): number | undefined;
  /** Gives the lease back; resolves when that was tried. Idempotent. */
  close(): Promise<void>;
}

/** Creates the lease; nothing happens before `start()`. */
export function createLeaderLease(options: LeaderLeaseOptions): LeaderLease {
  const { store, owner, ttlMs, log } = options;
  const now = () => options.clock?.now() ?? performance.now();
  const machine = leaderMachine.provide({
    actors: {
      campaign: fromPromise<TimedCampaign, undefined>(async () => {
        const minEpoch = await options.minEpoch();
        const sentAtMs = now();
        const outcome = await store.campaign(owner, ttlMs, minEpoch);
        return { outcome, sentAtMs };
      }),
      renew: fromPromise<TimedRenewal, { readonly epoch: number }>(async ({ input }) => {
        const sentAtMs = now();
        const renewed = await store.renewLeader(owner, input.epoch, ttlMs);
        return { renewed, sentAtMs };
      }),
      resign: fromPromise<void, { readonly epoch: number }>(async ({ input }) => {
        await store.resign(owner, input.epoch);
      }),
    },
  });
  const actor = createActor(machine, {
    input: { ttlMs, now },
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  actor.on('elected', ({ epoch }) => {
    log.info({ epoch }, 'elected leader');
    options.onElected(epoch);
  });
  actor.on('deposed', ({ epoch, cause }) => {
    log.info({ epoch, cause }, 'no longer leader');
    options.onDeposed(epoch, cause);
  });

  let started = false;
  let markStopped: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    markStopped = resolve;
  });
  actor.subscribe({
    complete: () => markStopped(),
    error: (error) => {
      // Cannot be: the machine's actions do not throw. It would end the claim, which the store's TTL then ends too.
      log.error({ err: error }, 'the leader machine failed');
      markStopped();
    },
  });

  return {
    start() {
      started = true;
      actor.start();
    },
    epoch() {
      const { context, status } = actor.getSnapshot();
      const leads = status === 'active' && actor.getSnapshot().matches('leading');
      return leads && now() < context.heldUntilMs ? context.epoch : undefined;
    },
    async close() {
      if (!started) return;
      actor.send({ type: 'stop' });
      await stopped;
    },
  };
}
