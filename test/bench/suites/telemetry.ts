/** What traces cost: switched on in all processes of a running cluster, and each way of tracing beside no SDK at all. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchModel, type ModelName, modelSources } from '../bench-model.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { sampledInPart, tracedFrom, tracedWhole } from '../contestants/troupe-traced.js';
import {
  type Comparison,
  compareAll,
  lastTakes,
  medianTable,
  ratioTable,
  throughputChart,
} from '../outcome.js';
import { runRounds, type Turn } from '../rounds.js';
import { compareSwitched, isOn, phases, type SwitchedSample } from '../switched.js';
import { type MeasurePlan, measureModels } from './measure-models.js';
import { type Suite, type SuiteContext, withStage } from './suite.js';

const windows = { inFlight: 64, windowMs: 500 } as const;

interface Plan {
  readonly model: ModelName;
  readonly starts: number;
  /** For each phase. */
  readonly rounds: number;
  /**
   * V8 compiles the SDK's functions once they have run some thousand times, and until then a span costs two to four times as
   * much; and with the first export, 5 s after the first span, promises get hooks, and what awaits them is compiled anew.
   */
  readonly warmUpMs: number;
}

/** What has to be near to none, on `tiny`, where a few microseconds show, and on `rank`. */
const plans: readonly Plan[] = [
  { model: 'tiny', starts: 4, rounds: 24, warmUpMs: 15_000 },
  { model: 'rank', starts: 2, rounds: 12, warmUpMs: 5_000 },
];

/** A disturbed round hides a few hundredths: so many times as there are rounds in a phase they may be taken again. */
const retakesFor = 2;

/** What costs more than that. */
const restPlan: MeasurePlan = {
  windowMs: windows.windowMs,
  inFlight: [windows.inFlight],
  rounds: 12,
  models: modelSources(['tiny', 'rank']),
  contestantsOf: () => [troupeSdk, sampledInPart, tracedWhole],
  warmUpMs: (model) => (model === 'tiny' ? 20_000 : 5_000),
};

const inPart = 'traced-1%';

/** Two clusters, in which traces are switched on one behind the other. */
async function measureStart(context: SuiteContext, plan: Plan, start: number): Promise<SwitchedSample[]> {
  return withStage(context, modelSources([plan.model]), async (stage) => {
    const clusters = ['first', 'second'] as const;
    const folderOf = (cluster: string) => join(stage.folder, `traces-of-${cluster}`);
    const turns: Turn[] = [];
    for (const name of clusters) {
      mkdirSync(folderOf(name));
      turns.push({ name, running: await stage.start(tracedFrom(name, folderOf(name))) });
    }
    const rounds = context.rounds ?? (context.short ? 2 : plan.rounds);
    const samples: SwitchedSample[] = [];
    for (const phase of phases) {
      for (const name of clusters) if (isOn(phase, name)) writeFileSync(join(folderOf(name), 'on'), '');
      const measured = await context.progress.step(
        `Measuring ${plan.model}, start ${start}, traced: ${{ off: 'none', first: 'the first', both: 'both' }[phase]}`,
        (update) =>
          runRounds(
            stage.models[0] as BenchModel,
            turns,
            {
              inFlight: windows.inFlight,
              windowMs: context.windowMs ?? (context.short ? 60 : windows.windowMs),
              rounds,
              warmUpMs: context.short ? 240 : plan.warmUpMs,
              retakes: context.short ? 0 : retakesFor * rounds,
            },
            update,
          ),
      );
      for (const name of clusters) assertTraced(folderOf(name), isOn(phase, name), context.short);
      const more = measured.map((sample): SwitchedSample => {
        const cluster = sample.contestant as 'first' | 'second';
        const contestant = isOn(phase, cluster) ? inPart : troupeSdk.name;
        return { ...sample, contestant, start, phase, cluster };
      });
      samples.push(...more);
      context.measured?.(more);
    }
    return samples;
  });
}

/** Spans are exported 5 s after they were made: the short form is over by then. */
function assertTraced(folder: string, on: boolean, short: boolean): void {
  const writers = readdirSync(folder).filter((file) => file.endsWith('.jsonl')).length;
  if (!on && writers > 0) throw new Error('spans were made before traces were switched on');
  // The load generator's and the runner's at least.
  if (on && !short && writers < 2) throw new Error('traces were switched on, and no spans were made');
}

async function measureSwitched(context: SuiteContext): Promise<SwitchedSample[]> {
  const samples: SwitchedSample[] = [];
  // A second model shows the short form nothing that the first does not.
  for (const plan of context.short ? plans.slice(0, 1) : plans) {
    if (context.models?.includes(plan.model) === false) continue;
    for (let start = 1; start <= (context.short ? 1 : plan.starts); start += 1) {
      samples.push(...(await measureStart(context, plan, start)));
    }
  }
  return samples;
}

const comparisonOf = (model: string, contestant: string): Comparison => ({
  suite: 'telemetry',
  model,
  contestant,
  against: troupeSdk.name,
  inFlight: windows.inFlight,
  metric: 'throughput',
  target: contestant === inPart ? { kind: 'ratio', atLeast: 0.97 } : undefined,
});

export const telemetry: Suite = {
  name: 'telemetry',
  text: 'traces off, one in a hundred, and all',
  seconds: 1_080,
  async run(context) {
    const switched = await measureSwitched(context);
    // Each way has a cluster of its own, whose start is all that the short form would wait for.
    const rest = context.short ? [] : await measureModels(context, restPlan);
    const inPartRows = plans.flatMap(
      ({ model }) => compareSwitched(switched, comparisonOf(model, inPart)) ?? [],
    );
    const restRows = compareAll(
      rest,
      plans.flatMap(({ model }) => [sampledInPart, tracedWhole].map(({ name }) => comparisonOf(model, name))),
    );
    return {
      rows: [...inPartRows, ...restRows],
      samples: [...switched, ...rest],
      tables: [
        medianTable('One in a hundred, switched on in running processes', lastTakes(switched)),
        ratioTable('What switching it on changes, median of the starts', inPartRows),
        medianTable('Each way, one start', rest),
        ratioTable('Traces on beside off', restRows),
      ],
      charts: throughputChart('telemetry', '64 in flight', rest, windows.inFlight),
    };
  },
};
