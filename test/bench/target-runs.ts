/**
 * What the last three runs of each suite gave for what is held to a target: one run may be lucky. Kept in
 * docs/benchmarks/runs.json, oldest first. Pure, but for whoever reads and writes that file.
 */
import { figure, type Row, type Table } from './outcome.js';
import type { Report } from './report.js';

/** One run of a suite: its rows that have a target. */
export interface TargetRun {
  readonly suite: string;
  readonly commit: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly rows: readonly Row[];
}

const runsKept = 3;

/** With one run more; the oldest of its suite goes. */
export function addRun(runs: readonly TargetRun[], report: Report): TargetRun[] {
  const { machine, rows, startedAt, suite } = report;
  const held = rows.filter(({ target }) => target !== undefined);
  if (held.length === 0) return [...runs];
  const own = runs.filter((run) => run.suite === suite).slice(1 - runsKept);
  const others = runs.filter((run) => run.suite !== suite);
  return [...others, ...own, { suite, commit: machine.commit, startedAt, rows: held }];
}

/** A line for each target, in the order of the suites. */
export function targetTable(runs: readonly TargetRun[], suites: readonly string[]): Table {
  return {
    title: 'Each target, in the last three runs',
    head: ['suite', 'model', 'in flight', 'figure', 'wanted', 'runs, oldest first', 'reached'],
    rows: suites.flatMap((suite) => {
      const own = runs.filter((run) => run.suite === suite);
      // What the newest holds to a target: an older one may not have had it.
      return (own.at(-1)?.rows ?? []).map((row) => lineOf(row, own));
    }),
  };
}

function lineOf(row: Row, runs: readonly TargetRun[]): string[] {
  const found = runs.flatMap(({ rows }) => rows.find((one) => isSame(one, row)) ?? []);
  const count = found.filter(({ reached }) => reached === true).length;
  return [
    row.suite,
    row.model,
    String(row.inFlight),
    `${row.metric}, ${row.contestant} to ${row.against}`,
    row.target ?? '',
    found.map(shown).join(', '),
    count === found.length ? `in all ${count}` : count === 0 ? 'missed' : `in ${count} of ${found.length}`,
  ];
}

function isSame(left: Row, right: Row): boolean {
  const keys = ['suite', 'model', 'contestant', 'against', 'inFlight', 'metric', 'target'] as const;
  return keys.every((key) => left[key] === right[key]);
}

/** As it is held to its target: a ratio, or a difference. */
function shown({ againstValue, ratio, target, unit, value }: Row): string {
  return target?.endsWith('above') === true ? `+${figure(value - againstValue)} ${unit}` : figure(ratio);
}
