/**
 * `npm run bench -- <suite> [--json FILE]`: reads the arguments, runs suites, prints and writes what came of them. Called
 * by bench.mjs, which has done the set-up.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Progress } from '../../deploy/local/progress.mjs';
import { repositoryRoot } from '../harness/repository-root.js';
import { type ModelName, modelNames } from './bench-model.js';
import { keepReport, pagePlace, readReport, writePage } from './docs-page.js';
import { describeMachine } from './machine.js';
import type { Sample, Table } from './outcome.js';
import type { Report, UnfinishedReport } from './report.js';
import { batching } from './suites/batching.js';
import { broker } from './suites/broker.js';
import { limit } from './suites/limit.js';
import { memory } from './suites/memory.js';
import { peers } from './suites/peers.js';
import { quick } from './suites/quick.js';
import { scale } from './suites/scale.js';
import { startup } from './suites/startup.js';
import { intraOpThreads, type Suite, type SuiteContext } from './suites/suite.js';
import { telemetry } from './suites/telemetry.js';
import { wire } from './suites/wire.js';

/** In the order in which `all` runs them; `quick` is no part of it. */
export const suites: readonly Suite[] = [
  peers,
  limit,
  batching,
  wire,
  broker,
  startup,
  memory,
  telemetry,
  scale,
];
export const suiteNames = suites.map(({ name }) => name);
const known = new Map([...suites, quick].map((suite) => [suite.name, suite]));

const usage = `usage: npm run bench -- <suite>… [--json FILE]
${[...known.values()].map(({ name, text, seconds }) => `  ${name.padEnd(10)} ${text} (about ${seconds} s)`).join('\n')}
  all        every suite but quick (about ${Math.ceil(suites.reduce((sum, { seconds }) => sum + seconds, 0) / 60)} min)
  page       measures nothing: writes docs/benchmarks.md anew from what is kept

  --json FILE    rows, raw samples, versions, cores and commit; of several suites a list; of one that is stopped its samples
  --write-docs   keeps what was measured in docs/benchmarks, with charts, and puts it into docs/benchmarks.md
  --resume       leaves out suites that are kept there for this very commit
  --rounds N     rounds in place of the suite's own
  --seconds N    length of a window in place of the suite's own
  --models a,b   only these of ${modelNames.join(', ')}`;

export interface Arguments {
  readonly suites: readonly Suite[];
  /** `page`. */
  readonly pageOnly: boolean;
  readonly json: string | undefined;
  readonly writeDocs: boolean;
  readonly resume: boolean;
  readonly rounds: number | undefined;
  readonly windowMs: number | undefined;
  readonly models: readonly ModelName[] | undefined;
}

function readArguments(argv: readonly string[]): Arguments | { readonly fault: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        'write-docs': { type: 'boolean', default: false },
        resume: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        models: { type: 'string' },
      },
    });
    if (positionals.length === 0) return { fault: 'a suite is wanted' };
    const stranger = positionals.find((name) => !known.has(name) && name !== 'all' && name !== 'page');
    if (stranger !== undefined) return { fault: `there is no suite ${JSON.stringify(stranger)}` };
    const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
    if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
      return { fault: '--rounds takes a whole number from 1' };
    }
    const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (seconds !== undefined && !(seconds > 0)) return { fault: '--seconds takes a number above 0' };
    const models = values.models?.split(',');
    const unknown = models?.find((model) => !(modelNames as readonly string[]).includes(model));
    if (unknown !== undefined) return { fault: `there is no model ${JSON.stringify(unknown)}` };
    return {
      suites: positionals.flatMap((name) => (name === 'all' ? suites : (known.get(name) ?? []))),
      pageOnly: positionals.includes('page'),
      json: values.json,
      writeDocs: values['write-docs'],
      resume: values.resume,
      rounds,
      windowMs: seconds === undefined ? undefined : seconds * 1_000,
      models: models as ModelName[] | undefined,
    };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

export async function main(context: {
  readonly argv: readonly string[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}): Promise<number> {
  const args = readArguments(context.argv);
  if ('fault' in args) {
    console.error(`troupe: ${args.fault}\n${usage}`);
    return 2;
  }
  return runSuites(args, context);
}

/** Exit code: 1 where a suite has failed. Throws where it is stopped. */
export async function runSuites(
  args: Arguments,
  { progress, signal }: Pick<SuiteContext, 'progress' | 'signal'>,
): Promise<number> {
  const { rounds, windowMs, models } = args;
  const place = pagePlace(repositoryRoot);
  const { commit, dirty } = describeMachine();
  const reports: (Report | UnfinishedReport)[] = [];
  const failed: string[] = [];
  const write = () => {
    if (args.json === undefined || reports.length === 0) return;
    const content = args.suites.length === 1 ? reports[0] : reports;
    writeFileSync(resolve(args.json), `${JSON.stringify(content)}\n`);
  };
  for (const suite of args.suites) {
    const kept = args.resume ? readReport(place, suite.name) : undefined;
    if (kept !== undefined && !dirty && !kept.machine.dirty && kept.machine.commit === commit) {
      progress.line(`${suite.name} is kept for this commit`);
      continue;
    }
    const samples: Sample[] = [];
    const measured = (more: readonly Sample[]) => samples.push(...more);
    const startedAt = new Date().toISOString();
    try {
      const report = await runSuite(suite, {
        progress,
        signal,
        short: false,
        rounds,
        windowMs,
        models,
        measured,
      });
      reports.push(report);
      console.log(`\n${formatReport(report)}\n`);
      // At once: what the next suite does to the machine takes nothing of it away.
      if (args.writeDocs && suiteNames.includes(suite.name)) keepReport(place, report, suiteNames);
    } catch (error) {
      const unfinished = error instanceof Error ? error.message : String(error);
      // It may be the page that failed.
      if (reports.at(-1)?.suite !== suite.name)
        reports.push({ suite: suite.name, unfinished, samples, machine: describeMachine(), startedAt });
      if (signal.aborted) throw error;
      console.error(error);
      failed.push(suite.name);
    } finally {
      write();
    }
  }
  if (args.pageOnly) writePage(place, suiteNames);
  if (failed.length === 0) return 0;
  console.error(`troupe: failed: ${failed.join(', ')}`);
  return 1;
}

/** Runs a suite and puts beside it what it was run on. */
export async function runSuite(suite: Suite, context: SuiteContext): Promise<Report> {
  const startedAt = new Date().toISOString();
  const startedMs = performance.now();
  const outcome = await suite.run(context);
  return {
    suite: suite.name,
    ...outcome,
    machine: describeMachine(),
    intraOpThreads,
    startedAt,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
  };
}

function formatReport({ suite, tables, machine, seconds }: Report): string {
  const { cores, cpu, commit, dirty } = machine;
  return [
    ...tables.filter(({ rows }) => rows.length > 0).map(formatTable),
    `${suite}: ${seconds} s on ${cores} cores (${cpu}), ${intraOpThreads} intra-op thread for each contestant, commit ${commit.slice(0, 12)}${dirty ? ' with changes' : ''}`,
  ].join('\n\n');
}

function formatTable({ title, head, rows }: Table): string {
  const widths = head.map((text, column) =>
    Math.max(text.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [title, line(head), ...rows.map(line)].join('\n');
}
