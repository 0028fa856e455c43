/** `npm run bench -- <suite> [--json FILE]`: reads the arguments, runs suites, prints and writes what came of them. Called by bench.mjs. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Progress } from '../../deploy/local/progress.mjs';
import { type ModelName, modelNames } from './bench-model.js';
import { describeMachine, type Machine } from './machine.js';
import type { SuiteOutcome, Table } from './outcome.js';
import { batching } from './suites/batching.js';
import { broker } from './suites/broker.js';
import { limit } from './suites/limit.js';
import { memory } from './suites/memory.js';
import { peers } from './suites/peers.js';
import { quick } from './suites/quick.js';
import { scale } from './suites/scale.js';
import { startup } from './suites/startup.js';
import { intraOpThreads, type Suite, type SuiteContext } from './suites/suite.js';
import { wire } from './suites/wire.js';

/** In the order in which `all` runs them; `quick` is no part of it. */
export const suites: readonly Suite[] = [peers, limit, batching, wire, broker, startup, memory, scale];
const known = new Map([...suites, quick].map((suite) => [suite.name, suite]));

/** What `--json` writes. */
export interface Report extends SuiteOutcome {
  readonly suite: string;
  readonly machine: Machine;
  readonly intraOpThreads: number;
  readonly startedAt: string;
  readonly seconds: number;
}

const usage = `usage: npm run bench -- <suite> [--json FILE] [--rounds N] [--seconds N] [--models a,b]
${[...known.values()].map(({ name, text, seconds }) => `  ${name.padEnd(10)} ${text} (about ${seconds} s)`).join('\n')}
  --json FILE   rows, raw samples, versions, cores and commit
  --rounds N    rounds in place of the suite's own
  --seconds N   length of a window in place of the suite's own
  --models a,b  only these of ${modelNames.join(', ')}`;

interface Arguments {
  readonly suite: Suite;
  readonly json: string | undefined;
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
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        models: { type: 'string' },
      },
    });
    const [name, ...rest] = positionals;
    if (name === undefined || rest.length > 0) return { fault: 'one suite is wanted' };
    const suite = known.get(name);
    if (suite === undefined) return { fault: `there is no suite ${JSON.stringify(name)}` };
    const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
    if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
      return { fault: '--rounds takes a whole number from 1' };
    }
    const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (seconds !== undefined && !(seconds > 0)) return { fault: '--seconds takes a number above 0' };
    const models = values.models?.split(',');
    const stranger = models?.find((model) => !(modelNames as readonly string[]).includes(model));
    if (stranger !== undefined) return { fault: `there is no model ${JSON.stringify(stranger)}` };
    return {
      suite,
      json: values.json,
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
  const { progress, signal } = context;
  const { rounds, windowMs, models } = args;
  const report = await runSuite(args.suite, { progress, signal, short: false, rounds, windowMs, models });
  console.log(formatReport(report));
  if (args.json !== undefined) writeFileSync(resolve(args.json), `${JSON.stringify(report)}\n`);
  return 0;
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
    ...tables.map(formatTable),
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
