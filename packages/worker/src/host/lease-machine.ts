/**
 * The life of a host's lease.
 *
 * - `registering`, `retrying`: no lease yet, or it is gone from the store; tries until it has one.
 * - `held`: renewed every ttl/3, more often while somebody watches its figures, and at once when asked to. A store that does not answer changes nothing: the host
 *   goes on serving and keeps trying.
 * - `fenced`: somebody registered under this name with a higher token. Drains what runs here, then waits in
 *   `standingBack` until that lease has lapsed or was given up, and registers anew; two hosts of one name would
 *   otherwise fence each other for ever.
 * - `releasing`, `released`: given up on purpose.
 *
 * A lease that was swept (or lost with the store's data) while nobody took the name is registered anew without
 * draining: the leader sees the workers in the report, and a store that forgot must not stop a host that serves.
 */
import type { RenewOutcome } from '@troupe/shared';
import { assign, fromPromise, setup } from 'xstate';

/** What the machine does, each call bounded by the store's own timeout. */
export interface LeasePorts {
  register(): Promise<{ readonly token: number; readonly epoch: number }>;
  renew(token: number): Promise<RenewOutcome>;
  release(token: number | undefined): Promise<void>;
  /** Drains every worker of this host, within its own bound. */
  standDown(): Promise<void>;
  /** Whether somebody else holds a live lease of this name. */
  isTaken(): Promise<boolean>;
  /** Whether a version on trial is judged by the report: then every moment counts. */
  isWatched(): boolean;
}

export type LeaseEvent =
  /** The report has changed: renew now. */
  { readonly type: 'lease.renew' } | { readonly type: 'lease.release' };

interface LeaseContext {
  readonly ttlMs: number;
  readonly token: number | undefined;
  /** Asked to renew while a renewal was under way. */
  readonly again: boolean;
}

/** For giving the lease up; it lapses by itself otherwise. */
const releaseLimitMs = 2_000;

export function createLeaseMachine(ports: LeasePorts) {
  return setup({
    types: {
      context: {} as LeaseContext,
      input: {} as { readonly ttlMs: number },
      events: {} as LeaseEvent,
      children: {} as {
        register: 'register';
        renew: 'renew';
        release: 'release';
        standDown: 'standDown';
        isTaken: 'isTaken';
      },
    },
    actors: {
      register: fromPromise(() => ports.register()),
      renew: fromPromise(({ input }: { input: number }) => ports.renew(input)),
      release: fromPromise(({ input }: { input: number | undefined }) => ports.release(input)),
      standDown: fromPromise(() => ports.standDown()),
      isTaken: fromPromise(() => ports.isTaken()),
    },
    delays: {
      renewEvery: ({ context }) => Math.floor(context.ttlMs / (ports.isWatched() ? 12 : 3)),
      retryEvery: ({ context }) => Math.floor(context.ttlMs / 3),
      ttl: ({ context }) => context.ttlMs,
      releaseLimit: releaseLimitMs,
    },
    guards: { isAskedAgain: ({ context }) => context.again },
    actions: {
      noteAgain: assign({ again: true }),
      clearAgain: assign({ again: false }),
      forgetToken: assign({ token: undefined }),
    },
  }).createMachine({
    id: 'lease',
    context: ({ input }) => ({ ttlMs: input.ttlMs, token: undefined, again: false }),
    initial: 'registering',
    on: { 'lease.release': '.releasing' },
    states: {
      registering: {
        invoke: {
          id: 'register',
          src: 'register',
          onDone: { target: 'held', actions: assign({ token: ({ event }) => event.output.token }) },
          onError: 'retrying',
        },
      },
      retrying: { after: { retryEvery: 'registering' } },
      held: {
        initial: 'waiting',
        states: {
          waiting: {
            always: { guard: 'isAskedAgain', target: 'renewing' },
            after: { renewEvery: 'renewing' },
            on: { 'lease.renew': 'renewing' },
          },
          renewing: {
            entry: 'clearAgain',
            on: { 'lease.renew': { actions: 'noteAgain' } },
            invoke: {
              id: 'renew',
              src: 'renew',
              input: ({ context }) => context.token ?? 0,
              onDone: [
                { guard: ({ event }) => event.output.kind === 'renewed', target: 'waiting' },
                {
                  guard: ({ event }) =>
                    event.output.kind === 'fenced' && event.output.currentToken !== undefined,
                  target: '#lease.fenced',
                },
                { target: '#lease.registering' },
              ],
              // Not at once again, even where asked: the store is gone, and the next turn comes by itself.
              onError: { target: 'waiting', actions: 'clearAgain' },
            },
          },
        },
      },
      fenced: {
        entry: 'forgetToken',
        invoke: { id: 'standDown', src: 'standDown', onDone: 'standingBack', onError: 'standingBack' },
      },
      standingBack: {
        initial: 'looking',
        states: {
          looking: {
            invoke: {
              id: 'isTaken',
              src: 'isTaken',
              onDone: [
                { guard: ({ event }) => event.output, target: 'resting' },
                { target: '#lease.registering' },
              ],
              onError: 'resting',
            },
          },
          resting: { after: { ttl: 'looking' } },
        },
      },
      releasing: {
        on: { 'lease.release': {} },
        after: { releaseLimit: 'released' },
        invoke: {
          id: 'release',
          src: 'release',
          input: ({ context }) => context.token,
          onDone: 'released',
          onError: 'released',
        },
      },
      released: { type: 'final' },
    },
  });
}
