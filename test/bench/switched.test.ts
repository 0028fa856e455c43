import { expect } from 'chai';
import { type Row, ratioTable } from './outcome.js';
import { compareSwitched, isOn, phases, type SwitchedSample } from './switched.js';

const comparison = {
  suite: 'telemetry',
  model: 'tiny',
  contestant: 'on',
  against: 'off',
  inFlight: 64,
  metric: 'throughput',
  target: { kind: 'ratio', atLeast: 0.97 },
} as const;

/** Windows of starts whose first cluster is `lag` times as fast as its second, where `on` is what the switch leaves. */
function windows(
  lags: readonly number[],
  on: number,
  stolenAt?: (round: number) => number,
): SwitchedSample[] {
  const samples: SwitchedSample[] = [];
  let machine = 1;
  for (const [start, lag] of lags.entries()) {
    for (const phase of phases) {
      for (let round = 1; round <= 5; round += 1) {
        machine *= 0.9; // it slows down all the time, for both
        const stolen = stolenAt?.(round) ?? 0;
        for (const cluster of ['first', 'second'] as const) {
          const own = cluster === 'first' ? lag : 1;
          const lost = stolen > 0 && cluster === 'first' ? 0.5 : 1;
          const throughput = 1_000 * machine * own * lost * (isOn(phase, cluster) ? on : 1);
          const common = { model: 'tiny', contestant: cluster, inFlight: 64, round, stolen };
          const result = { answers: 1, checked: 1, elapsedMs: 1, p50: 1, p99: 1, max: 1, cpuMs: 1 };
          samples.push({ ...common, ...result, throughput, start, phase, cluster });
        }
      }
    }
  }
  return samples;
}

describe('a switch that is thrown in running clusters', () => {
  it('is told from what is between the two, and from a machine that slows down', () => {
    const row = compareSwitched(windows([0.8, 1.1, 1], 0.98), comparison);
    expect(row?.ratio).to.be.closeTo(0.98, 1e-9);
    expect(row?.spread[0]).to.be.closeTo(0.98, 1e-9);
    expect(row).to.include({ contestant: 'on', against: 'off', target: 'at least 0.97 ×', reached: true });
    expect(row).not.to.have.property('disturbed');
    expect(compareSwitched(windows([0.8], 0.9), comparison)?.reached).to.equal(false);
  });

  it('leaves out the rounds in which the machine was with its neighbours', () => {
    const row = compareSwitched(
      windows([1], 0.98, (round) => (round > 3 ? 0.2 : 0)),
      comparison,
    );
    expect(row?.ratio).to.be.closeTo(0.98, 1e-9);
    expect(row?.disturbed).to.deep.equal({ rounds: 6, leftOut: 6, takenAgain: 0 });
  });

  it('says how many disturbed rounds were left out, where others had to stay in', () => {
    const samples = windows([1, 1], 0.98, (round) => (round > 3 ? 0.2 : 0));
    const mostlyDisturbed = samples.map((one) => (one.start === 1 ? { ...one, stolen: 0.2 } : one));
    const row = compareSwitched(mostlyDisturbed, comparison) as Row;
    expect(row.disturbed).to.deep.equal({ rounds: 21, leftOut: 6, takenAgain: 0 });
    expect(ratioTable('', [row]).rows[0]?.at(-1)).to.contain('21 disturbed rounds, 6 of them left out');
  });

  it('counts takes that were taken again, and nothing else of them', () => {
    const samples = windows([1], 0.98);
    const takenAgain = windows([1], 0.5, () => 0.2)
      .filter(({ round }) => round === 2)
      .map((one) => ({ ...one, takenAgain: true }));
    const row = compareSwitched([...takenAgain, ...samples], comparison) as Row;
    expect(row).to.deep.equal({
      ...compareSwitched(samples, comparison),
      disturbed: { rounds: 0, leftOut: 0, takenAgain: 3 },
    });
    expect(ratioTable('', [row]).rows[0]?.at(-1)).to.equal('reached, 3 disturbed takes taken again');
  });

  it('has no row where its model was not measured', () => {
    expect(compareSwitched(windows([1], 1), { ...comparison, model: 'rank' })).to.equal(undefined);
  });
});
