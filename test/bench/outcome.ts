/** What a suite gives: raw samples, rows that compare, tables to print. Wire format of `--json`. Pure. */
import type { LoadResult } from './closed-loop.js';

/** One window of one contestant. */
export interface Sample extends LoadResult {
  readonly model: string;
  readonly contestant: string;
  readonly inFlight: number;
  readonly round: number;
  /** From 1; higher where the takes before were disturbed. */
  readonly take?: number;
  /** Disturbed, and taken again: kept, and no part of any figure. */
  readonly takenAgain?: boolean;
  /** Share of the machine's processor time, from 0 to 1, that its hypervisor gave to others during the window. */
  readonly stolen?: number;
}

/** Above it a window says more of the machine's neighbours than of its contestant. */
const mostStolen = 0.01;

export function isDisturbed({ stolen = 0 }: Sample): boolean {
  return stolen > mostStolen;
}

export function lastTakes<S extends Sample>(samples: readonly S[]): S[] {
  return samples.filter(({ takenAgain }) => takenAgain !== true);
}

/** Rounds in one of whose windows others had more than a hundredth of the machine. */
export interface DisturbedRounds {
  readonly rounds: number;
  /** How many of them the figures are without. */
  readonly leftOut: number;
  /** Takes, beyond those rounds, in whose place others were taken. */
  readonly takenAgain?: number;
}

export type Metric = 'throughput' | 'p50' | 'p99';
const units: Readonly<Record<Metric, string>> = { throughput: '1/s', p50: 'ms', p99: 'ms' };

/** A contestant beside another. */
export interface Row {
  readonly suite: string;
  readonly model: string;
  readonly contestant: string;
  readonly against: string;
  readonly inFlight: number;
  readonly metric: Metric;
  readonly disturbed?: DisturbedRounds;
  /** Median over the rounds of the ratio within a round; of a switch, over the starts. */
  readonly ratio: number;
  /** Lowest and highest of these. */
  readonly spread: readonly [number, number];
  /** Medians over the rounds. */
  readonly value: number;
  readonly againstValue: number;
  readonly unit: string;
  /** What the ratio or the value is held to, in words, and whether it is reached. */
  readonly target?: string;
  readonly reached?: boolean;
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Bars in groups: one group for each label, one bar for each series. */
export interface Chart {
  /** File name without its end. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly labels: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly values: readonly number[];
    readonly low?: readonly number[];
    readonly high?: readonly number[];
  }[];
}

export interface SuiteOutcome {
  readonly rows: readonly Row[];
  readonly samples: readonly unknown[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** What a row is held to: a bound on its ratio, or on the difference of its values. */
export type Target =
  | { readonly kind: 'ratio'; readonly atLeast: number }
  | { readonly kind: 'ratio'; readonly atMost: number }
  | { readonly kind: 'difference'; readonly atMost: number };

export interface Comparison {
  readonly suite: string;
  readonly model: string;
  readonly contestant: string;
  readonly against: string;
  readonly inFlight: number;
  readonly metric: Metric;
  readonly target?: Target | undefined;
}

/** The row of a comparison; `undefined` where one of the two was not measured. */
export function compare(samples: readonly Sample[], comparison: Comparison): Row | undefined {
  const { model, contestant, against, inFlight, metric } = comparison;
  const of = (name: string) =>
    samples
      .filter((one) => one.model === model && one.inFlight === inFlight && one.contestant === name)
      .sort((a, b) => a.round - b.round);
  const [ours, theirs] = [of(contestant), of(against)];
  if (ours.length === 0 || ours.length !== theirs.length) return undefined;
  const { rounds, disturbed } = quietRounds(ours.map((own, index) => [own, theirs[index] as Sample]));
  const values = rounds.map(([own]) => own[metric]);
  const againstValues = rounds.map(([, other]) => other[metric]);
  const ratios = values.map((one, index) => one / (againstValues[index] ?? Number.NaN));
  return rowOf(comparison, disturbed, ratios, median(values), median(againstValues));
}

/** The row of a comparison, whose ratio is the median of those given. */
export function rowOf(
  comparison: Comparison,
  disturbed: DisturbedRounds,
  ratios: readonly number[],
  value: number,
  againstValue: number,
): Row {
  const { suite, model, contestant, against, inFlight, metric, target } = comparison;
  const ratio = median(ratios);
  return {
    suite,
    model,
    contestant,
    against,
    inFlight,
    metric,
    ...(disturbed.rounds === 0 && (disturbed.takenAgain ?? 0) === 0 ? {} : { disturbed }),
    ratio,
    spread: [Math.min(...ratios), Math.max(...ratios)],
    value,
    againstValue,
    unit: units[metric],
    ...(target === undefined ? {} : judge(target, ratio, value - againstValue, units[metric])),
  };
}

/** The rounds in which the machine was ours; all of them where they are less than half of them: nothing better is there then. */
export function quietRounds(rounds: readonly (readonly [Sample, Sample])[]): {
  readonly rounds: readonly (readonly [Sample, Sample])[];
  readonly disturbed: DisturbedRounds;
} {
  const quiet = rounds.filter((windows) => !windows.some(isDisturbed));
  const disturbed = rounds.length - quiet.length;
  return 2 * quiet.length < rounds.length
    ? { rounds, disturbed: { rounds: disturbed, leftOut: 0 } }
    : { rounds: quiet, disturbed: { rounds: disturbed, leftOut: disturbed } };
}

function judge(
  target: Target,
  ratio: number,
  difference: number,
  unit: string,
): { target: string; reached: boolean } {
  if (target.kind === 'difference') {
    return { target: `at most ${target.atMost} ${unit} above`, reached: difference <= target.atMost };
  }
  return 'atLeast' in target
    ? { target: `at least ${target.atLeast} ×`, reached: ratio >= target.atLeast }
    : { target: `at most ${target.atMost} ×`, reached: ratio <= target.atMost };
}

/** Rows that were measured. */
export function compareAll(samples: readonly Sample[], comparisons: readonly Comparison[]): Row[] {
  return comparisons.flatMap((comparison) => compare(samples, comparison) ?? []);
}

/** Four digits at most: more are noise. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString('en-GB');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** Medians of each contestant, one line for each model and load. */
export function medianTable(title: string, samples: readonly Sample[]): Table {
  const keys = [...new Set(samples.map((one) => `${one.model}\0${one.inFlight}\0${one.contestant}`))];
  return {
    title,
    head: ['model', 'in flight', 'contestant', 'answers/s', 'lowest–highest', 'p50 ms', 'p99 ms'],
    rows: keys.map((key) => {
      const [model = '', inFlight = '', contestant = ''] = key.split('\0');
      const own = samples.filter(
        (one) => one.model === model && String(one.inFlight) === inFlight && one.contestant === contestant,
      );
      const rates = own.map((one) => one.throughput);
      return [
        model,
        inFlight,
        contestant,
        figure(median(rates)),
        `${figure(Math.min(...rates))}–${figure(Math.max(...rates))}`,
        figure(median(own.map((one) => one.p50))),
        figure(median(own.map((one) => one.p99))),
      ];
    }),
  };
}

function signed(value: number): string {
  return value < 0 ? figure(value) : `+${figure(value)}`;
}

function disturbedText({ rounds, leftOut, takenAgain = 0 }: DisturbedRounds): string {
  const counted = `${rounds} disturbed ${rounds === 1 ? 'round' : 'rounds'}`;
  const parts: string[] = [];
  if (rounds > 0 && leftOut === 0) parts.push(`${counted} left in`);
  else if (rounds > 0 && leftOut === rounds) parts.push(`without ${counted}`);
  else if (rounds > 0) parts.push(`${counted}, ${leftOut} of them left out`);
  if (takenAgain > 0)
    parts.push(`${takenAgain} disturbed ${takenAgain === 1 ? 'take' : 'takes'} taken again`);
  return parts.join(', ');
}

/** The comparisons, with what they are held to. */
export function ratioTable(title: string, rows: readonly Row[]): Table {
  return {
    title,
    head: ['model', 'in flight', 'figure', 'contestant', 'against', 'ratio', 'lowest–highest', 'wanted', ''],
    rows: rows.map((row) => [
      row.model,
      String(row.inFlight),
      row.metric,
      `${row.contestant} ${figure(row.value)} ${row.unit}`,
      `${row.against} ${figure(row.againstValue)} ${row.unit}`,
      row.unit === 'ms'
        ? `${figure(row.ratio)} (${signed(row.value - row.againstValue)} ms)`
        : figure(row.ratio),
      `${figure(row.spread[0])}–${figure(row.spread[1])}`,
      row.target ?? '',
      [
        ...(row.reached === undefined ? [] : [row.reached ? 'reached' : 'missed']),
        ...(row.disturbed === undefined ? [] : [disturbedText(row.disturbed)]),
      ].join(', '),
    ]),
  };
}

/** Throughput of each contestant as bars over the models. */
export function throughputChart(
  name: string,
  title: string,
  samples: readonly Sample[],
  inFlight: number,
): Chart[] {
  const own = samples.filter((one) => one.inFlight === inFlight);
  const contestants = [...new Set(own.map((one) => one.contestant))];
  return [...new Set(own.map((one) => one.model))].map((model) => {
    const rates = contestants
      .map((contestant) => ({
        contestant,
        values: own
          .filter((one) => one.model === model && one.contestant === contestant)
          .map((one) => one.throughput),
      }))
      .filter(({ values }) => values.length > 0);
    return {
      name: `${name}-${model}`,
      title: `${title}: ${model}`,
      unit: 'answers/s',
      labels: rates.map(({ contestant }) => contestant),
      series: [
        {
          name: 'median',
          values: rates.map(({ values }) => median(values)),
          low: rates.map(({ values }) => Math.min(...values)),
          high: rates.map(({ values }) => Math.max(...values)),
        },
      ],
    };
  });
}
