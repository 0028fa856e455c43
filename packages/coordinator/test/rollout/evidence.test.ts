/** Evidence against a version: its bounds, and how figures are added up over workers that come, restart and go. */
import type { VersionFigures, WorkerReport } from '@troupe/shared';
import { expect } from 'chai';
import { judgeEvidence, type LatencySuspicion } from '../../src/rollout/evidence.js';
import { createFigureTally } from '../../src/rollout/figure-tally.js';
import { createStepClock } from '../../src/rollout/step-clock.js';
import { hostLease, workerReport } from '../simulated/registry-fixture.js';

const stable: VersionFigures = { requests: 1_000, errors: 0, p99Ms: 2, samples: 1_000 };

describe('live evidence', () => {
  const errors: readonly [number, number, string][] = [
    [49, 49, 'fine'],
    [50, 3, 'bad'],
    [50, 2, 'fine'],
    [100, 5, 'bad'],
    [1_000, 49, 'fine'],
    [1_000, 50, 'bad'],
    [0, 0, 'fine'],
  ];
  for (const [requests, failed, verdict] of errors) {
    it(`${failed} of ${requests} requests that stable answered: ${verdict} (E1)`, () => {
      expect(judgeEvidence({ requests, errors: failed }, stable, undefined).kind).to.equal(verdict);
    });
  }

  const slow = (change: Partial<VersionFigures> = {}): VersionFigures => ({
    requests: 300,
    errors: 0,
    p99Ms: 20,
    samples: 250,
    ...change,
  });
  const latencies: readonly [string, VersionFigures, VersionFigures, string][] = [
    ['ten times stable’s', slow(), stable, 'suspect'],
    ['three times and no more', slow({ p99Ms: 30 }), { ...stable, p99Ms: 10 }, 'fine'],
    ['within the machine’s noise', slow({ p99Ms: 4 }), { ...stable, p99Ms: 0.1 }, 'fine'],
    ['over few requests', slow({ samples: 199 }), stable, 'fine'],
    ['where stable had few', slow(), { ...stable, samples: 199 }, 'fine'],
    ['where stable is not known', slow(), { requests: 1_000, errors: 0 }, 'fine'],
    ['where it is not known', { requests: 300, errors: 0 }, stable, 'fine'],
  ];
  for (const [title, candidate, other, verdict] of latencies) {
    it(`a p99 ${title}: ${verdict} (E2)`, () => {
      expect(judgeEvidence(candidate, other, undefined).kind).to.equal(verdict);
    });
  }

  it('a suspicion counts when it holds for as many requests again, and is dropped when it does not (E2)', () => {
    const first = judgeEvidence(slow(), stable, undefined);
    const suspicion: LatencySuspicion | undefined = first.kind === 'suspect' ? first.suspicion : undefined;
    expect(suspicion).to.deep.equal({ confirmAtRequests: 550 });
    expect(judgeEvidence(slow({ samples: 30_000 }), stable, undefined)).to.deep.equal({
      kind: 'suspect',
      suspicion: { confirmAtRequests: 800 },
    });
    expect(judgeEvidence(slow({ requests: 549 }), stable, suspicion).kind).to.equal('suspect');
    const bad = judgeEvidence(slow({ requests: 550, samples: 500 }), stable, suspicion);
    expect(bad).to.deep.equal({
      kind: 'bad',
      by: 'latency',
      text: "its p99 is 20.0 ms over 500 requests, stable's is 2.0 ms",
    });
    expect(judgeEvidence(slow({ requests: 550, p99Ms: 6 }), stable, suspicion).kind).to.equal('fine');
  });
});

describe('the figures of a rollout', () => {
  const of = { model: 'ash', from: 1, to: 2 };
  const observe = (...workers: WorkerReport[]) => [hostLease('h1', { workers })];
  const old = (answered: number, completed = 0, device = 'cpu:0') =>
    workerReport('ash', 1, device, { completed, repeats: { '2': { answered, failed: 9 } } });
  const young = (completed: number, change: Partial<WorkerReport> = {}) =>
    workerReport('ash', 2, 'cpu:0', { completed, ...change });

  it('count from the first look on, and a worker that is new from its beginning', () => {
    const tally = createFigureTally(of);
    tally.observe(observe(young(1_000), old(7, 500)));
    expect(tally.candidate()).to.deep.equal({ requests: 0, errors: 0 });
    tally.observe(observe(young(1_010), workerReport('ash', 2, 'cpu:1', { completed: 5 }), old(9, 520)));
    expect(tally.candidate()).to.deep.equal({ requests: 17, errors: 2 });
    expect(tally.stable()).to.deep.equal({ requests: 20, errors: 0 });
  });

  it('go on where a runner began anew, and never down', () => {
    const tally = createFigureTally(of);
    tally.observe(observe(young(100), old(0)));
    tally.observe(observe(young(160), old(0)));
    tally.observe(observe(young(10, { crashes: 1 }), old(0)));
    expect(tally.candidate().requests).to.equal(70);
    expect(tally.crashes()).to.equal(1);
    tally.observe(observe(old(0)));
    expect(tally.candidate().requests).to.equal(70);
  });

  it('weigh a p99 by the requests behind it, and leave out who has none', () => {
    const tally = createFigureTally(of);
    const other = workerReport('ash', 2, 'cpu:1', { p99Ms: 20, samples: 100 });
    tally.observe(observe(young(0, { p99Ms: 10, samples: 300 }), other, workerReport('ash', 2, 'cpu:2')));
    expect(tally.candidate()).to.include({ p99Ms: 12.5, samples: 400 });
    expect(tally.stable()).to.not.have.property('p99Ms');
  });

  it('leave other models and versions alone', () => {
    const tally = createFigureTally(of);
    tally.observe(observe());
    tally.observe(
      observe(
        workerReport('birch', 2, 'cpu:0', { completed: 5 }),
        workerReport('ash', 3, 'cpu:0', { completed: 5 }),
      ),
    );
    expect(tally.candidate().requests).to.equal(0);
  });
});

describe('the clock of a rollout’s steps', () => {
  it('counts from its first look, leaves pauses out, and begins anew with each step (R2)', () => {
    let now = 0;
    const clock = createStepClock(() => now);
    const look = (afterMs: number, step = 'a', paused = false) => {
      now += afterMs;
      return clock.heldMs('ash', step, paused);
    };
    expect(look(5_000)).to.equal(0);
    expect(look(100)).to.equal(100);
    expect(look(100, 'a', true)).to.equal(100);
    expect(look(900, 'a', true)).to.equal(100);
    expect(look(50)).to.equal(100);
    expect(look(50)).to.equal(150);
    expect(look(50, 'b')).to.equal(0);
    clock.keep(new Set());
    expect(look(50, 'b')).to.equal(0);
  });
});
