/** The worker machine: what it does, and that nothing of it is left untried. */
import { expect } from 'chai';
import type { AnyStateNode, AnyTransitionDefinition } from 'xstate';
import { getAdjacencyMap } from 'xstate/graph';
import { EventBound } from '../../src/host/event-bound.js';
import { type WorkerEvent, workerEventTypes } from '../../src/host/worker-events.js';
import { servingVersionOf, workerStateOf } from '../../src/host/worker-machine.js';
import { respawnPauseMs, retryPauseMs } from '../../src/host/worker-pauses.js';
import { leavesOf, type Move, probation, TimedWorker, version } from './timed-worker.js';

const served: Move[] = [{ type: 'worker.activate' }, { type: 'runner.loaded' }, { type: 'runner.warmed' }];
const failed: Move[] = [{ type: 'runner.load_failed', reason: 'no such operator' }];
const noSibling: Move = { type: 'sibling.lost' };
const siblingCovers: Move = { type: 'sibling.covers', version: version(1) };
const covering: Move[] = [...failed, noSibling, { type: 'test.standby_found' }, { type: 'standby.warmed' }];
/** What was told to the runners, without the sibling's part. */
const ordersToRunners = (worker: TimedWorker) =>
  worker.orders.filter((order) => !order.startsWith('sibling'));
const died = (blameless = false): Move => ({ type: 'runner.died', reason: 'SIGSEGV', blameless });

function at(moves: readonly Move[], check: (worker: TimedWorker) => void, onProbation = false): void {
  const worker = new TimedWorker(onProbation);
  try {
    check(worker.doAll(moves));
    expect(worker.errors).to.deep.equal([]);
  } finally {
    worker.stop();
  }
}

const stateOf = (worker: TimedWorker) => leavesOf(worker.snapshot).join(' ');

describe('worker machine', () => {
  it('an activation that comes while the model loads is remembered until it is warm', () => {
    at([], (worker) => {
      expect(stateOf(worker)).to.equal('loading.starting');
      worker.do({ type: 'worker.activate' });
      worker.do({ type: 'runner.loaded' });
      expect(stateOf(worker)).to.equal('warm.warming');
      worker.do({ type: 'runner.warmed' });
      expect(stateOf(worker)).to.equal('serving.unproven');
      expect(ordersToRunners(worker)).to.deep.equal(['runner order.serve 64']);
    });
  });

  it('a warm worker keeps its place without pulling until it is activated', () => {
    at([{ type: 'runner.loaded' }, { type: 'runner.warmed' }], (worker) => {
      expect(stateOf(worker)).to.equal('warm.ready');
      expect(ordersToRunners(worker)).to.deep.equal([]);
      worker.do({ type: 'worker.activate' });
      expect(ordersToRunners(worker)).to.deep.equal(['runner order.serve 64']);
    });
  });

  it('changed credits reach a serving runner at once, and a loading one when it serves', () => {
    at([{ type: 'credits.changed', credits: 7 }, ...served], (worker) => {
      worker.do({ type: 'credits.changed', credits: 9 });
      expect(ordersToRunners(worker)).to.deep.equal(['runner order.serve 7', 'runner order.serve 9']);
    });
  });

  it('a first crash is followed by a new runner without a pause, later ones by growing pauses up to 30 s', () => {
    expect([1, 2, 3, 4, 20].map(respawnPauseMs)).to.deep.equal([0, 100, 200, 400, 30_000]);
    expect([0, 1, 2, 30].map(retryPauseMs)).to.deep.equal([1_000, 2_000, 4_000, 30_000]);
    at([...served, died()], (worker) => {
      expect(stateOf(worker)).to.equal('loading.pausing');
      expect([...worker.runners.keys()]).to.deep.equal([]);
      worker.clock.increment(0);
      expect(stateOf(worker)).to.equal('loading.starting');
      worker.doAll([{ type: 'runner.loaded' }, { type: 'runner.warmed' }, died()]);
      worker.clock.increment(99);
      expect(stateOf(worker)).to.equal('loading.pausing');
      worker.clock.increment(1);
      expect(stateOf(worker)).to.equal('loading.starting');
    });
  });

  it('the fourth crash without a minute of health between them means that the version cannot serve', () => {
    const again: Move[] = [
      died(),
      { type: 'test.clock' },
      { type: 'runner.loaded' },
      { type: 'runner.warmed' },
    ];
    at([...served, ...again, ...again, ...again], (worker) => {
      expect(workerStateOf(worker.snapshot)).to.equal('serving');
      worker.do(died());
      expect(workerStateOf(worker.snapshot)).to.equal('fallback');
      expect(worker.snapshot.context).to.include({ crashes: 4, reason: 'SIGSEGV' });
    });
    at([...served, ...again, ...again, ...again], (worker) => {
      worker.clock.increment(60_000);
      worker.do(died());
      expect(stateOf(worker)).to.equal('loading.pausing');
    });
  });

  it('a runner that dies at once, every time, does not spin, and its event log stays readable', () => {
    at([{ type: 'worker.activate' }], (worker) => {
      const bound = new EventBound();
      const hourMs = 3_600_000;
      const told: number[] = [];
      let deaths = 0;
      while (worker.clock.now() < hourMs) {
        if (worker.snapshot.children.stableSearch !== undefined) worker.do({ type: 'test.standby_missing' });
        if (worker.snapshot.matches({ fallback: { cover: 'asking' } })) worker.do(noSibling);
        if (worker.runners.has('runner')) {
          worker.do(died());
          deaths += 1;
          const notice = { kind: 'died', version: 2, reason: 'SIGSEGV', handedBack: [] } as const;
          const leftOut = bound.admit(worker, notice, worker.clock.now());
          if (leftOut !== undefined) told.push(leftOut);
        } else {
          worker.clock.toNext();
        }
      }
      // Four at first, then after 1, 2, 4, … and at last 30 seconds.
      expect(deaths).to.be.within(100, 135);
      expect(told.length).to.be.within(10, 20);
      expect(told.slice(0, 6)).to.deep.equal([0, 0, 0, 0, 0, 0]);
      const last = told.reduce((sum, leftOut) => sum + leftOut + 1, 0);
      expect(deaths - last, 'what is not told yet').to.be.within(0, 10);
    });
  });

  it('deaths that one request is to blame for are counted, but never held against the version', () => {
    const again: Move[] = [
      died(true),
      { type: 'test.clock' },
      { type: 'runner.loaded' },
      { type: 'runner.warmed' },
    ];
    at([...served, ...Array.from({ length: 10 }, () => again).flat()], (worker) => {
      expect(workerStateOf(worker.snapshot)).to.equal('serving');
      expect(worker.snapshot.context).to.include({ crashes: 10, recentCrashes: 0 });
    });
  });

  it('a version that cannot load has its queue covered by the last stable one, and is tried again', () => {
    at(covering, (worker) => {
      expect(stateOf(worker)).to.equal('fallback.cover.covering fallback.retry.waiting');
      expect(worker.started).to.deep.equal(['runner 2', 'standby 1']);
      expect(ordersToRunners(worker)).to.deep.equal(['standby order.serve 64', 'standby order.cover 2']);
      worker.clock.increment(1_000);
      expect(worker.started).to.deep.equal(['runner 2', 'standby 1', 'runner 2']);
      worker.do({ type: 'worker.activate' });
      worker.do({ type: 'runner.warmed' });
      expect(stateOf(worker)).to.equal('serving.unproven');
      expect(ordersToRunners(worker).slice(2)).to.deep.equal([
        'standby order.drain',
        'runner order.serve 64',
      ]);
      expect(worker.runners.has('standby'), 'it finishes what it holds').to.equal(true);
      worker.do({ type: 'standby.drained' });
      expect(worker.runners.has('standby')).to.equal(false);
    });
  });

  it('a version that others serve with itself is not covered by another', () => {
    at([...covering, { type: 'peers.changed', servedElsewhere: true }], (worker) => {
      expect(ordersToRunners(worker).at(-1)).to.equal('standby order.cover nothing');
      worker.do({ type: 'peers.changed', servedElsewhere: false });
      expect(ordersToRunners(worker).at(-1)).to.equal('standby order.cover 2');
    });
  });

  it('draining waits for what both its runners hold, and no longer than the bound', () => {
    const both: Move[] = [
      ...covering,
      { type: 'worker.activate' },
      { type: 'test.clock' },
      { type: 'runner.warmed' },
      { type: 'worker.drain', cause: 'told to' },
    ];
    at(both, (worker) => {
      expect(stateOf(worker)).to.equal('draining');
      worker.do({ type: 'runner.drained' });
      expect(stateOf(worker)).to.equal('draining');
      worker.do({ type: 'standby.drained' });
      expect(stateOf(worker)).to.equal('stopped');
      expect(worker.runners.size).to.equal(0);
    });
    at(both, (worker) => {
      worker.clock.increment(31_999);
      expect(stateOf(worker)).to.equal('draining');
      worker.clock.increment(1);
      expect(stateOf(worker)).to.equal('stopped');
      expect(worker.runners.size).to.equal(0);
    });
  });

  it('a worker that cannot serve is covered by a warm sibling where there is one, and by a runner of its own where not', () => {
    at([...failed, siblingCovers], (worker) => {
      expect(stateOf(worker)).to.equal('fallback.cover.flipped fallback.retry.waiting');
      expect(worker.started).to.deep.equal(['runner 2']);
      expect(servingVersionOf(worker.snapshot)).to.equal(1);
      worker.do({ type: 'peers.changed', servedElsewhere: true });
      expect(worker.orders.at(-1)).to.equal('sibling order.cover ready');
      worker.doAll([noSibling, { type: 'test.standby_found' }]);
      expect(worker.started).to.deep.equal(['runner 2', 'standby 1']);
      worker.do(siblingCovers);
      expect(worker.runners.has('standby'), 'it is not needed').to.equal(false);
      expect(stateOf(worker)).to.equal('fallback.cover.flipped fallback.retry.waiting');
    });
  });

  it('a standby that cannot be had gives way to the next one, and is tried again after a rest', () => {
    at([...failed, noSibling, { type: 'test.standby_found' }], (worker) => {
      worker.do({ type: 'standby.lost', reason: 'SIGSEGV' });
      expect(stateOf(worker)).to.contain('fallback.cover.finding');
      expect(worker.snapshot.context.failedStandbys).to.deep.equal([1]);
      worker.do({ type: 'test.standby_missing' });
      expect(stateOf(worker)).to.contain('fallback.cover.resting');
      expect(worker.snapshot.context.failedStandbys).to.deep.equal([]);
    });
  });

  describe('on probation', () => {
    const onProbation = (moves: readonly Move[], check: (worker: TimedWorker) => void) =>
      at(moves, check, true);
    const again: Move[] = [
      died(true),
      siblingCovers,
      { type: 'test.clock' },
      { type: 'runner.loaded' },
      { type: 'runner.warmed' },
    ];

    it('a version that does not load is condemned, covered, and never tried again', () => {
      onProbation([...failed, siblingCovers], (worker) => {
        expect(stateOf(worker)).to.equal('fallback.cover.flipped fallback.retry.given_up');
        expect(worker.snapshot.context.condemned).to.deep.equal({
          kind: 'candidate',
          cause: 'no such operator',
          atNs: 7n,
        });
        worker.clock.increment(3_600_000);
        expect(worker.started).to.deep.equal(['runner 2']);
      });
    });

    it('so is one that is not loaded within the load limit, or not warm', () => {
      for (const moves of [[], [{ type: 'runner.loaded' }] as Move[]]) {
        onProbation([...moves, { type: 'test.clock' }], (worker) => {
          expect(worker.snapshot.context.condemned?.kind).to.equal('candidate');
        });
      }
    });

    it('the sibling covers while a runner is started anew, and no longer', () => {
      onProbation(served, (worker) => {
        worker.do(died());
        expect(stateOf(worker)).to.equal('loading.pausing');
        expect(worker.orders.at(-1)).to.equal('sibling order.cover meanwhile');
        worker.doAll([siblingCovers, ...again.slice(2)]);
        expect(workerStateOf(worker.snapshot)).to.equal('serving');
        expect(worker.orders.slice(-2)).to.deep.equal(['runner order.serve 64', 'sibling order.uncover']);
        expect(servingVersionOf(worker.snapshot)).to.equal(2);
      });
    });

    it('every death counts, a minute of health forgives none, and one too many condemns', () => {
      onProbation([...served, ...again], (worker) => {
        worker.clock.increment(60_000);
        worker.do(died(true));
        expect(workerStateOf(worker.snapshot)).to.equal('fallback');
        expect(worker.snapshot.context.condemned?.kind).to.equal('crash');
        expect(worker.snapshot.context.condemned?.cause).to.match(/2 times on probation, at last: SIGSEGV/);
      });
    });

    it('a version that dies before it has served is a candidate that failed, not one that crashed', () => {
      onProbation([died(), { type: 'test.clock' }, died()], (worker) => {
        expect(worker.snapshot.context.condemned?.kind).to.equal('candidate');
      });
    });

    it('condemned by order: covered at once, its runner finishes what it holds within a second', () => {
      onProbation([...served, { type: 'worker.condemn', cause: 'p99' }, siblingCovers], (worker) => {
        expect(stateOf(worker)).to.equal('fallback.cover.flipped fallback.retry.given_up');
        expect(worker.snapshot.context.condemned).to.deep.equal({ kind: 'order', cause: 'p99', atNs: 7n });
        expect(worker.orders).to.include('runner order.drain 1000');
        expect(worker.orders).to.include('sibling order.cover active');
        expect(worker.runners.has('runner')).to.equal(true);
        expect(servingVersionOf(worker.snapshot)).to.equal(1);
        worker.do({ type: 'runner.drained' });
        expect(worker.runners.has('runner')).to.equal(false);
      });
    });

    it('a condemned version is covered even where others still serve it', () => {
      onProbation(
        [
          ...served,
          { type: 'peers.changed', servedElsewhere: true },
          { type: 'worker.condemn', cause: 'p99' },
        ],
        (worker) => expect(worker.orders).to.not.include('sibling order.cover ready'),
      );
    });

    it('the sibling helps a version that lags, until it keeps up, and the version still answers itself', () => {
      onProbation([...served, { type: 'runner.lags' }], (worker) => {
        expect(worker.orders.at(-1)).to.equal('sibling order.cover meanwhile');
        worker.do({ type: 'sibling.covers', version: version(1) });
        expect(workerStateOf(worker.snapshot)).to.equal('serving');
        expect(servingVersionOf(worker.snapshot)).to.equal(2);
        worker.do({ type: 'runner.keeps_up' });
        expect(worker.orders.at(-1)).to.equal('sibling order.uncover');
      });
    });

    it('a proven version counts as stable only when it is confirmed', () => {
      onProbation([...served, { type: 'runner.proven' }], (worker) => {
        expect(stateOf(worker)).to.equal('serving.awaiting');
        worker.do({ type: 'worker.confirm' });
        expect(stateOf(worker)).to.equal('serving.recording');
        expect(worker.orders.at(-1)).to.equal('sibling order.probation nothing');
      });
      onProbation([...served, { type: 'worker.confirm' }, { type: 'runner.proven' }], (worker) => {
        expect(stateOf(worker)).to.equal('serving.recording');
      });
    });

    it('a confirmed version is judged as any other again', () => {
      onProbation(
        [...served, { type: 'worker.confirm' }, died(), { type: 'test.clock' }, died()],
        (worker) => {
          expect(worker.snapshot.context.condemned).to.equal(undefined);
          expect(workerStateOf(worker.snapshot)).to.equal('loading');
        },
      );
    });

    it('a version that serves already is put on probation by a rollout, and its earlier deaths are not held against it', () => {
      const earlier: Move[] = [
        died(),
        { type: 'test.clock' },
        { type: 'runner.loaded' },
        { type: 'runner.warmed' },
      ];
      at([...served, ...earlier, { type: 'worker.probation', probation }, died()], (worker) => {
        expect(workerStateOf(worker.snapshot)).to.equal('loading');
        expect(worker.orders).to.include('sibling order.probation 1');
        worker.do(died());
        worker.doAll([{ type: 'test.clock' }, died()]);
        expect(worker.snapshot.context.condemned?.kind).to.equal('crash');
      });
    });
  });

  it('a worker whose machine is stopped leaves no runner behind, in whatever state it is', () => {
    for (const moves of [[], served, covering, [...covering, { type: 'test.clock' } as const]]) {
      const worker = new TimedWorker().doAll(moves);
      expect(worker.runners.size).to.be.greaterThan(0);
      worker.stop();
      expect(worker.runners.size).to.equal(0);
    }
  });
});

/**
 * Who takes what: a decision for every state and event. An event that a state does not take is ignored on purpose,
 * for the reason beside it.
 */
const anywhere = 'anywhere';
const decisions: Record<
  WorkerEvent['type'],
  { readonly takenIn: readonly string[] | typeof anywhere; readonly ignoredBecause: string }
> = {
  'worker.activate': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'credits.changed': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'peers.changed': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'worker.drain': {
    takenIn: ['loading', 'warm', 'serving', 'fallback'],
    ignoredBecause: 'it drains already, or has',
  },
  'runner.loaded': {
    takenIn: ['loading.starting'],
    ignoredBecause: 'a retry in fallback waits for warmed, and elsewhere it is a word that came late',
  },
  'runner.warmed': {
    takenIn: ['warm.warming', 'fallback.retry.trying'],
    ignoredBecause: 'nothing waits for it: the runner was warm already, or is one that goes',
  },
  'runner.load_failed': {
    takenIn: ['loading.starting', 'warm.warming', 'fallback.retry.trying'],
    ignoredBecause: 'a warm runner has loaded, and one that goes is not missed',
  },
  'runner.proven': {
    takenIn: ['serving.unproven'],
    ignoredBecause: 'it is proven already, or does not serve',
  },
  'runner.lags': { takenIn: ['serving'], ignoredBecause: 'it does not pull, or others cover already' },
  'runner.keeps_up': { takenIn: ['serving'], ignoredBecause: 'it does not pull, or others cover anyway' },
  'runner.drained': {
    takenIn: ['draining', 'fallback'],
    ignoredBecause: 'nobody asked; its end is told as a death',
  },
  'runner.died': {
    takenIn: ['loading.starting', 'warm', 'serving', 'fallback', 'draining'],
    ignoredBecause: 'there is no runner',
  },
  'standby.warmed': {
    takenIn: ['fallback.cover.preparing'],
    ignoredBecause: 'nothing waits for it: it covers already, or is not needed any more',
  },
  'worker.probation': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'worker.confirm': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'worker.condemn': {
    takenIn: ['loading', 'warm', 'serving', 'fallback.retry.waiting', 'fallback.retry.trying'],
    ignoredBecause: 'it is condemned already, or drains',
  },
  'sibling.covers': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'sibling.lost': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'standby.lost': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
  'standby.drained': { takenIn: anywhere, ignoredBecause: 'a stopped worker takes nothing' },
};

const samples: Record<WorkerEvent['type'], WorkerEvent> = {
  'worker.activate': { type: 'worker.activate' },
  'worker.drain': { type: 'worker.drain', cause: 'told to' },
  'credits.changed': { type: 'credits.changed', credits: 7 },
  'peers.changed': { type: 'peers.changed', servedElsewhere: true },
  'runner.loaded': { type: 'runner.loaded' },
  'runner.warmed': { type: 'runner.warmed' },
  'runner.load_failed': { type: 'runner.load_failed', reason: 'no such operator' },
  'runner.proven': { type: 'runner.proven' },
  'runner.lags': { type: 'runner.lags' },
  'runner.keeps_up': { type: 'runner.keeps_up' },
  'runner.drained': { type: 'runner.drained' },
  'runner.died': { type: 'runner.died', reason: 'SIGSEGV', blameless: false },
  'standby.warmed': { type: 'standby.warmed' },
  'standby.lost': { type: 'standby.lost', reason: 'SIGSEGV' },
  'standby.drained': { type: 'standby.drained' },
  'worker.probation': { type: 'worker.probation', probation },
  'worker.confirm': { type: 'worker.confirm' },
  'worker.condemn': { type: 'worker.condemn', cause: 'rolled back' },
  'sibling.covers': { type: 'sibling.covers', version: version(1) },
  'sibling.lost': { type: 'sibling.lost' },
};

/** A state of the exploration: the moves that lead to it. */
interface Explored {
  readonly onProbation: boolean;
  readonly status: 'active';
  readonly output: undefined;
  readonly error: undefined;
  readonly moves: readonly Move[];
  readonly key: string;
  readonly possible: readonly Move[];
  readonly leaves: readonly string[];
}

/** Every transition and every state is reached within it, as two tests hold; each move more takes a third more time. */
const longestPath = 9;

describe('worker machine, generated paths on a simulated clock', function () {
  this.timeout(300_000);
  const taken = new Set<string>();
  const reached = new Map<string, readonly Move[]>();
  const failures: unknown[] = [];
  let all: Map<string, AnyTransitionDefinition>;

  const guardName = ({ guard }: AnyTransitionDefinition) =>
    typeof guard === 'string' ? guard : guard === undefined ? 'none' : 'inline';

  /** A transition by its place: definitions differ from machine to machine. */
  const nameOf = (transition: AnyTransitionDefinition): string => {
    const siblings = transition.source.transitions.get(transition.eventType) ?? [];
    const always = transition.source.always ?? [];
    const list = transition.eventType === '' ? always : siblings;
    return `${transition.source.id} on ${transition.eventType || 'always'} #${list.findIndex((other) => other.target?.[0]?.id === transition.target?.[0]?.id && guardName(other) === guardName(transition))}`;
  };

  function collect(node: AnyStateNode, into: Map<string, AnyTransitionDefinition>): void {
    for (const list of node.transitions.values()) for (const one of list) into.set(nameOf(one), one);
    for (const one of node.always ?? []) into.set(nameOf(one), one);
    for (const child of Object.values(node.states)) collect(child, into);
  }

  /** Moves that matter little in one of the two explorations are left to the other. */
  const leftOut = (onProbation: boolean): readonly Move['type'][] =>
    onProbation
      ? ['credits.changed', 'peers.changed', 'test.standby_search_failed', 'test.record_failed']
      : ['worker.probation', 'worker.confirm'];

  function explore(onProbation: boolean, moves: readonly Move[]): Explored {
    const worker = new TimedWorker(onProbation).doAll(moves);
    try {
      for (const transition of worker.transitions) taken.add(nameOf(transition));
      failures.push(...worker.errors);
      const { context } = worker.snapshot;
      const leaves = leavesOf(worker.snapshot);
      const key = JSON.stringify([
        leaves,
        context.activated,
        context.probation !== undefined,
        context.condemned?.kind,
        // Deaths that count: those on probation where it is, none once it is condemned.
        context.condemned !== undefined
          ? 0
          : context.probation !== undefined
            ? Math.min(context.probationCrashes, 2)
            : Math.min(context.recentCrashes, 4),
        context.runnerPulls,
        context.standbyPulls,
        [...worker.runners.keys()].sort(),
        // Which timer is next decides what the next move of the clock does; far ones differ too little to matter.
        worker.clock.pending().map((ms) => Math.min(2_000, Math.ceil(ms / 1_000) * 1_000)),
      ]);
      for (const leaf of leaves) if (!reached.has(leaf)) reached.set(leaf, moves);
      return {
        status: 'active',
        output: undefined,
        error: undefined,
        moves,
        key,
        possible:
          moves.length >= longestPath
            ? []
            : worker.possible().filter(({ type }) => !leftOut(onProbation).includes(type)),
        leaves,
        onProbation,
      };
    } finally {
      worker.stop();
    }
  }

  const logic = (onProbation: boolean) => ({
    getInitialSnapshot: () => explore(onProbation, []),
    transition: (state: Explored, event: Move) => explore(onProbation, [...state.moves, event]),
    getPersistedSnapshot: (state: Explored) => state,
  });
  let configurations: Explored[];

  before(() => {
    configurations = [false, true].flatMap((onProbation) => {
      const adjacency = getAdjacencyMap(logic(onProbation), {
        events: (state: Explored) => [...state.possible],
        serializeState: (state: Explored) => state.key,
        serializeEvent: (event: Move) => JSON.stringify(event),
        limit: 50_000,
      });
      return Object.values(adjacency).map((entry) => (entry as { state: Explored }).state);
    });
    const worker = new TimedWorker();
    all = new Map();
    collect(worker.actor.logic.root, all);
    worker.stop();
  });

  it('take every transition at least once', () => {
    const missed = [...all.keys()].filter((name) => !taken.has(name));
    expect(missed).to.deep.equal([]);
    expect(all.size).to.be.greaterThan(40);
    expect(failures).to.deep.equal([]);
  });

  it('reach every state', () => {
    const worker = new TimedWorker();
    const leaves: string[] = [];
    const walk = (node: AnyStateNode) => {
      const children = Object.values(node.states);
      if (children.length === 0) leaves.push(node.path.join('.'));
      for (const child of children) walk(child);
    };
    walk(worker.actor.logic.root);
    worker.stop();
    expect([...reached.keys()].sort()).to.deep.equal(leaves.sort());
  });

  it('find every event taken, or ignored on purpose, in every state', () => {
    expect(Object.keys(decisions).sort(), 'a decision for every event').to.deep.equal(
      [...workerEventTypes].sort(),
    );
    const surprises = new Set<string>();
    for (const { moves, leaves, onProbation } of configurations) {
      const worker = new TimedWorker(onProbation).doAll(moves);
      for (const type of workerEventTypes) {
        const { takenIn } = decisions[type];
        const active = !leaves.includes('stopped');
        const wanted =
          active &&
          (takenIn === anywhere ||
            leaves.some((leaf) => takenIn.some((place) => leaf === place || leaf.startsWith(`${place}.`))));
        // A machine that is done is sent nothing; `can` does not look at that.
        const can = worker.snapshot.status === 'active' && worker.snapshot.can(samples[type]);
        if (can !== wanted) surprises.add(`${leaves.join(' + ')}: ${type} is ${can ? 'taken' : 'ignored'}`);
      }
      worker.stop();
    }
    expect([...surprises]).to.deep.equal([]);
  });
});
