/**
 * The worker machine with everything around it in the test's hand: its runners, its ports and its clock. Moves are
 * synchronous, so a list of moves replays to the same state, which is what path generation needs.
 */
import type { Assignment, ModelVersion, Probation } from '@troupe/shared';
import {
  type Actor,
  type AnyTransitionDefinition,
  createActor,
  fromCallback,
  type PromiseActorLogic,
  SimulatedClock,
} from 'xstate';
import type {
  RunnerInput,
  RunnerOrderEvent,
  SiblingOrderEvent,
  WorkerEvent,
} from '../../src/host/worker-events.js';
import {
  createWorkerMachine,
  type WorkerMachine,
  type WorkerSnapshot,
} from '../../src/host/worker-machine.js';

export function version(number: number): ModelVersion {
  return {
    version: number,
    digest: String(number).repeat(64).slice(0, 64),
    sizeBytes: 1,
    signature: { inputs: [], outputs: [] },
    batchable: true,
    batching: { maxBatchSize: 32, maxDelayMs: 0 },
    limits: {},
    golden: [],
    registeredAt: '2026-11-01T00:00:00Z',
  };
}

/** A clock that can go to whatever is due next. */
class StepClock extends SimulatedClock {
  readonly #due = new Map<number, number>();

  override setTimeout(fn: (...args: unknown[]) => void, timeout: number): number {
    const id = super.setTimeout((...args) => {
      this.#due.delete(id);
      fn(...args);
    }, timeout);
    this.#due.set(id, this.now() + timeout);
    return id;
  }

  override clearTimeout(id: number): void {
    this.#due.delete(id);
    super.clearTimeout(id);
  }

  /** Remaining times, shortest first. */
  pending(): number[] {
    return [...this.#due.values()].map((due) => due - this.now()).sort((a, b) => a - b);
  }

  toNext(): void {
    const [next] = this.pending();
    if (next !== undefined) this.increment(next);
  }
}

export type Move =
  | WorkerEvent
  | { readonly type: 'test.clock' }
  | { readonly type: 'test.standby_found' }
  | { readonly type: 'test.standby_missing' }
  | { readonly type: 'test.standby_search_failed' }
  | { readonly type: 'test.recorded' }
  | { readonly type: 'test.record_failed' };

type PromiseEvent = { type: 'test.resolve'; output?: unknown } | { type: 'test.reject' };

/** A promise actor that settles when told, in the same turn. */
function settledByTest<TOutput, TInput>(): PromiseActorLogic<TOutput, TInput> {
  const logic = {
    getInitialSnapshot: () => ({ status: 'active', output: undefined, error: undefined }),
    transition: (snapshot: object, event: PromiseEvent) => {
      if (event.type === 'test.resolve') return { ...snapshot, status: 'done', output: event.output };
      if (event.type === 'test.reject') return { ...snapshot, status: 'error', error: new Error('told to') };
      return snapshot;
    },
    getPersistedSnapshot: (snapshot: object) => snapshot,
  };
  return logic as unknown as PromiseActorLogic<TOutput, TInput>;
}

export const loadLimitMs = 500;
export const drainBoundMs = 30_000;

/** Version 1 stands by; one death is borne. */
export const probation: Probation = { standby: version(1), maxCrashes: 1 };

/** A worker of version 2 in which the test plays every other part. */
export class TimedWorker {
  readonly clock = new StepClock();
  readonly actor: Actor<WorkerMachine>;
  /** Living runner actors by role. */
  readonly runners = new Map<RunnerInput['role'], RunnerInput>();
  /** What they were told, oldest first: `standby order.cover 2`. */
  readonly orders: string[] = [];
  readonly started: string[] = [];
  readonly transitions = new Set<AnyTransitionDefinition>();
  errors: unknown[] = [];

  constructor(onProbation = false) {
    const machine = createWorkerMachine({
      runner: fromCallback<RunnerOrderEvent, RunnerInput>(({ input, receive }) => {
        this.runners.set(input.role, input);
        this.started.push(`${input.role} ${input.version.version}`);
        receive((order) => {
          const detail =
            order.type === 'order.serve'
              ? ` ${order.credits}`
              : order.type === 'order.cover'
                ? ` ${order.version?.version ?? 'nothing'}`
                : order.type === 'order.drain' && order.boundMs !== undefined
                  ? ` ${order.boundMs}`
                  : '';
          this.orders.push(`${input.role} ${order.type}${detail}`);
        });
        return () => {
          if (this.runners.get(input.role) === input) this.runners.delete(input.role);
        };
      }),
      sibling: fromCallback<SiblingOrderEvent, Assignment>(({ receive }) => {
        receive((order) => {
          const detail =
            order.type === 'order.cover'
              ? ` ${order.mode}`
              : order.type === 'order.probation'
                ? ` ${order.standby?.version ?? 'nothing'}`
                : '';
          this.orders.push(`sibling ${order.type}${detail}`);
        });
      }),
      nowNs: () => 7n,
      findStandby: () => Promise.reject(new Error('replaced below')),
      recordStable: () => Promise.reject(new Error('replaced below')),
    }).provide({ actors: { findStandby: settledByTest(), recordStable: settledByTest() } });
    this.actor = createActor(machine, {
      clock: this.clock,
      input: {
        assignment: {
          model: 'iris',
          version: version(2),
          device: 'cpu:0',
          credits: 64,
          ...(onProbation ? { probation } : {}),
        },
        times: { loadLimitMs, drainBoundMs },
      },
      inspect: (event) => {
        if (event.type !== '@xstate.microstep' || event.actorRef !== this.actor) return;
        for (const transition of event._transitions) this.transitions.add(transition);
      },
    });
    this.actor.subscribe({ error: (error) => this.errors.push(error) });
    this.actor.start();
  }

  get snapshot(): WorkerSnapshot {
    return this.actor.getSnapshot();
  }

  /** Moves that can happen now: a runner that is not there says nothing. */
  possible(): Move[] {
    if (this.snapshot.status !== 'active') return [];
    const { children } = this.snapshot;
    const moves: Move[] = [
      { type: 'worker.activate' },
      { type: 'worker.drain', cause: 'told to' },
      { type: 'credits.changed', credits: 7 },
      { type: 'peers.changed', servedElsewhere: true },
      { type: 'worker.probation', probation },
      { type: 'worker.confirm' },
      { type: 'worker.condemn', cause: 'rolled back' },
    ];
    // It speaks only where it was ordered to cover.
    if (
      this.snapshot.matches('fallback') ||
      (this.snapshot.matches('loading') && this.snapshot.context.crashes > 0)
    ) {
      moves.push({ type: 'sibling.covers', version: version(1) }, { type: 'sibling.lost' });
    }
    if (this.clock.pending().length > 0) moves.push({ type: 'test.clock' });
    if (children.stableSearch !== undefined) {
      moves.push(
        { type: 'test.standby_found' },
        { type: 'test.standby_missing' },
        { type: 'test.standby_search_failed' },
      );
    }
    if (children.stableRecord !== undefined)
      moves.push({ type: 'test.recorded' }, { type: 'test.record_failed' });
    if (this.runners.has('runner')) {
      moves.push(
        { type: 'runner.loaded' },
        { type: 'runner.warmed' },
        { type: 'runner.load_failed', reason: 'no such operator' },
        { type: 'runner.proven' },
        { type: 'runner.lags' },
        { type: 'runner.keeps_up' },
        { type: 'runner.drained' },
        { type: 'runner.died', reason: 'SIGSEGV', blameless: false },
        { type: 'runner.died', reason: 'SIGSEGV', blameless: true },
      );
    }
    if (this.runners.has('standby')) {
      moves.push(
        { type: 'standby.warmed' },
        { type: 'standby.lost', reason: 'SIGSEGV' },
        { type: 'standby.drained' },
      );
    }
    return moves;
  }

  do(move: Move): void {
    const settle = (id: 'stableSearch' | 'stableRecord', event: PromiseEvent) => {
      const child = this.snapshot.children[id] as { send(event: PromiseEvent): void } | undefined;
      child?.send(event);
    };
    switch (move.type) {
      case 'test.clock':
        this.clock.toNext();
        return;
      case 'test.standby_found':
        settle('stableSearch', { type: 'test.resolve', output: version(1) });
        return;
      case 'test.standby_missing':
        settle('stableSearch', { type: 'test.resolve' });
        return;
      case 'test.standby_search_failed':
        settle('stableSearch', { type: 'test.reject' });
        return;
      case 'test.recorded':
        settle('stableRecord', { type: 'test.resolve' });
        return;
      case 'test.record_failed':
        settle('stableRecord', { type: 'test.reject' });
        return;
      default:
        this.actor.send(move);
    }
  }

  doAll(moves: readonly Move[]): this {
    for (const move of moves) this.do(move);
    return this;
  }

  stop(): void {
    this.actor.stop();
  }
}

/** Leaf states of a configuration: `serving.proven`, and both regions of `fallback`. */
export function leavesOf(snapshot: WorkerSnapshot): string[] {
  const walk = (value: unknown, path: string): string[] => {
    if (typeof value === 'string') return [path === '' ? value : `${path}.${value}`];
    return Object.entries(value as Record<string, unknown>).flatMap(([key, inner]) =>
      walk(inner, path === '' ? key : `${path}.${key}`),
    );
  };
  return walk(snapshot.value, '');
}
