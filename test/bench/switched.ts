/**
 * What a switch costs that is thrown in running processes. Two clusters of the very same code differ by 5 % and more for as
 * long as they run, since V8 has inlined in each process what happened to be hot there; a switch that costs 1 % drowns in
 * that. So two clusters run beside each other, first with the switch off in both, then with it on in the first, then on in
 * both: by how much the first falls behind in the middle, compared to before and to after, is the switch alone. What the
 * machine does meanwhile falls on both. Pure.
 */
import { type Comparison, lastTakes, median, quietRounds, type Row, rowOf, type Sample } from './outcome.js';

/** In this order. */
export const phases = ['off', 'first', 'both'] as const;
export type Phase = (typeof phases)[number];

export interface SwitchedSample extends Sample {
  /** Number of the pair of clusters. */
  readonly start: number;
  readonly phase: Phase;
  readonly cluster: 'first' | 'second';
}

export function isOn(phase: Phase, cluster: 'first' | 'second'): boolean {
  return phase === 'both' || (phase === 'first' && cluster === 'first');
}

/** The row of a switch, one ratio for each start; `undefined` where it was not measured. */
export function compareSwitched(samples: readonly SwitchedSample[], comparison: Comparison): Row | undefined {
  const { metric, model, inFlight } = comparison;
  const takes = samples.filter((one) => one.model === model && one.inFlight === inFlight);
  const own = lastTakes(takes);
  const starts = [...new Set(own.map(({ start }) => start))];
  if (starts.length === 0) return undefined;
  // A take is of both clusters.
  const disturbed = { rounds: 0, leftOut: 0, takenAgain: (takes.length - own.length) / 2 };
  const between = (start: number, phase: Phase): number => {
    const of = (cluster: string) =>
      own
        .filter((one) => one.start === start && one.phase === phase && one.cluster === cluster)
        .sort((a, b) => a.round - b.round);
    const second = of('second');
    const quiet = quietRounds(of('first').map((one, index) => [one, second[index] as Sample]));
    disturbed.rounds += quiet.disturbed.rounds;
    disturbed.leftOut += quiet.disturbed.leftOut;
    return median(quiet.rounds.map(([first, other]) => first[metric] / other[metric]));
  };
  const ratios = starts.map(
    (start) => between(start, 'first') / Math.sqrt(between(start, 'off') * between(start, 'both')),
  );
  const [value, againstValue] = [true, false].map((on) =>
    median(own.filter((one) => isOn(one.phase, one.cluster) === on).map((one) => one[metric])),
  ) as [number, number];
  return rowOf(comparison, disturbed, ratios, value, againstValue);
}
