/**
 * Keeps the host's lease: registers, renews with the latest report, stands down when fenced, releases. Owned by the
 * host; it decides nothing about workers. Never needed for serving: a store that is gone is only tried again.
 */
import { asTroupeError, type HostReport, type LeaseStore, type Log } from '@troupe/shared';
import { createActor } from 'xstate';
import { createDeferred } from '../onnx/deferred.js';
import { createLeaseMachine } from './lease-machine.js';

export interface LeaseKeeperOptions {
  readonly store: LeaseStore;
  readonly host: string;
  readonly ttlMs: number;
  readonly log: Log;
  /** Built anew for every renewal. */
  readonly report: () => HostReport;
  /** Whether a version on trial is judged by the report; default never. */
  readonly isWatched?: () => boolean;
  /** Called with the epoch of every registration and renewal. */
  readonly onEpoch: (epoch: number) => void;
  /** Called when the lease was taken over: drains all workers and resolves within its bound. */
  readonly onFenced: () => Promise<void>;
  /** For tests. */
  readonly clock?: LeaseClock;
}

/** Timers of the machine, and the monotonic time that the local deadline is kept on. */
export interface LeaseClock {
  setTimeout(fn: (...args: unknown[]) => void, timeout: number): unknown;
  clearTimeout(id: unknown): void;
  now(): number;
}

const realClock: LeaseClock = {
  setTimeout: (fn, timeout) => setTimeout(fn, timeout),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
  now: () => performance.now(),
};

export interface LeaseKeeper {
  start(): void;
  /** Resolves when the lease was taken for the first time. */
  readonly registered: Promise<void>;
  /** Why the last call to the store failed; `undefined` after one that did not. */
  readonly lastError: Error | undefined;
  /** Until the lease lapses by this host's own reckoning, in milliseconds; 0 where it has lapsed. */
  remainingMs(): number;
  /** Renews out of turn, and resolves once a renewal that was begun after the call has ended, well or not. */
  renewNow(): Promise<void>;
  /** Gives the lease up and ends. Idempotent. */
  release(): Promise<void>;
}

export function createLeaseKeeper(options: LeaseKeeperOptions): LeaseKeeper {
  const { store, host, ttlMs, log } = options;
  const clock = options.clock ?? realClock;
  let deadlineMs: number | undefined;
  let lastError: Error | undefined;
  let lapseLogged = false;
  let currentToken: number | undefined;
  let waiting: (() => void)[] = [];
  let started = false;
  const registered = createDeferred<void>();
  const ended = createDeferred<void>();

  const resolveAll = (list: (() => void)[]) => {
    for (const resolve of list) resolve();
  };

  /** One call that tells the store the report: what was asked for before it is done after it. */
  async function tell<T>(call: () => Promise<T>): Promise<T> {
    const asked = waiting;
    waiting = [];
    const sentAtMs = clock.now();
    try {
      const outcome = await call();
      lastError = undefined;
      // From the sending on: the store's clock began no earlier.
      deadlineMs = sentAtMs + ttlMs;
      lapseLogged = false;
      return outcome;
    } catch (thrown) {
      lastError = asTroupeError(thrown, 'redis.unreachable');
      if (!lapseLogged && deadlineMs !== undefined && clock.now() > deadlineMs) {
        lapseLogged = true;
        log.warn({ err: lastError }, 'the lease has lapsed unrenewed; serving goes on');
      }
      throw lastError;
    } finally {
      resolveAll(asked);
    }
  }

  const machine = createLeaseMachine({
    register: async () => {
      const { token, epoch } = await tell(() => store.registerHost(host, ttlMs, options.report()));
      currentToken = token;
      log.info({ host, fencingToken: token, epoch }, 'registered');
      options.onEpoch(epoch);
      registered.resolve();
      return { token, epoch };
    },
    renew: async (token) => {
      const outcome = await tell(() => store.renewHost(host, token, ttlMs, options.report()));
      if (outcome.kind === 'renewed') options.onEpoch(outcome.epoch);
      else log.warn({ host, takenBy: outcome.currentToken }, 'the lease was refused');
      return outcome;
    },
    release: async (token) => {
      if (token !== undefined) await store.releaseHost(host, token);
    },
    isWatched: () => options.isWatched?.() === true,
    standDown: async () => {
      deadlineMs = undefined;
      await options.onFenced();
    },
    isTaken: async () => {
      const leases = await store.listHosts();
      return leases.some(
        (lease) => lease.host === host && lease.remainingMs > 0 && lease.token !== currentToken,
      );
    },
  });
  const actor = createActor(machine, { input: { ttlMs }, clock });
  actor.subscribe({
    error: (error) => {
      log.error({ err: error }, 'the lease machine failed');
      ended.resolve();
    },
    complete: () => ended.resolve(),
  });

  return {
    start: () => {
      started = true;
      actor.start();
    },
    registered: registered.promise,
    get lastError() {
      return lastError;
    },
    remainingMs: () => (deadlineMs === undefined ? 0 : Math.max(0, deadlineMs - clock.now())),
    renewNow: () => {
      if (!actor.getSnapshot().matches('held')) return Promise.resolve();
      const { promise, resolve } = createDeferred<void>();
      waiting.push(resolve);
      actor.send({ type: 'lease.renew' });
      return promise;
    },
    release: async () => {
      if (!started) return;
      actor.send({ type: 'lease.release' });
      resolveAll(waiting);
      waiting = [];
      await ended.promise;
    },
  };
}
