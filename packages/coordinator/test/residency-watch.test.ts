import type { WorkerReport } from '@troupe/shared';
import { expect } from 'chai';
import { createResidencyWatch, type ResidencyWatch } from '../src/control/residency-watch.js';
import { hostLease, workerReport } from './simulated/registry-fixture.js';

const ash = { model: 'ash', version: 1 };

describe('what the leader remembers of use and demand', () => {
  let nowMs: number;
  let watch: ResidencyWatch;
  beforeEach(() => {
    nowMs = 1_000;
    watch = createResidencyWatch({ idleMs: 500, now: () => nowMs });
  });

  const see = (...reports: Partial<WorkerReport>[]) =>
    watch.update([
      hostLease('h1', { workers: reports.map((report) => workerReport('ash', 1, 'cpu:0', report)) }),
    ]);
  const usedAt = () => watch.view().usedAtMs.get('ash/1');
  const askedAt = () => watch.view().askedAtMs.get('ash/1');

  it('a version counts as used when it comes into memory, and whenever its workers have done or hold something', () => {
    see({ completed: 0 });
    expect(usedAt()).to.equal(1_000);
    nowMs = 2_000;
    see({ completed: 0 });
    expect(usedAt(), 'nothing was done').to.equal(1_000);
    see({ completed: 7 });
    expect(usedAt()).to.equal(2_000);
    nowMs = 3_000;
    see({ completed: 7, inFlight: 1 });
    expect(usedAt()).to.equal(3_000);
    nowMs = 4_000;
    see({ completed: 0 });
    expect(usedAt(), 'its runner began anew').to.equal(4_000);
    see();
    watch.update([]);
    expect(usedAt()).to.equal(undefined);
  });

  it('who asks is remembered since the first time, until the version has done something', () => {
    expect(watch.ask(ash)).to.equal(true);
    nowMs = 1_500;
    expect(watch.ask(ash), 'again').to.equal(false);
    see({ state: 'loading' });
    expect(askedAt()).to.equal(1_000);
    see({ completed: 0 });
    expect(askedAt(), 'it answers, and who waits has no answer yet').to.equal(1_000);
    see({ completed: 1 });
    expect(askedAt()).to.equal(undefined);
  });

  it('a version that was asked for and then has no work counts by its use again after a moment', () => {
    watch.ask(ash);
    see({ completed: 0 });
    nowMs += 3_000;
    see({ completed: 0 });
    expect(askedAt()).to.equal(undefined);
  });

  it('who does not ask again has gone', () => {
    watch.ask(ash);
    nowMs += 20_000;
    watch.ask(ash);
    nowMs += 20_000;
    see();
    expect(askedAt()).to.equal(1_000);
    nowMs += 20_000;
    watch.update([]);
    expect(askedAt()).to.equal(undefined);
  });
});
