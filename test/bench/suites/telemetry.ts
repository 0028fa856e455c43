/** What traces cost: no SDK in any process beside the SDK in all of them. */
import { modelSources } from '../bench-model.js';
import type { Contestant } from '../contestants/contestant.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { sampledInPart, tracedInPart, tracedWhole } from '../contestants/troupe-traced.js';
import {
  type Comparison,
  compareAll,
  medianTable,
  type Row,
  ratioTable,
  type Sample,
  throughputChart,
} from '../outcome.js';
import { type MeasurePlan, measureModels } from './measure-models.js';
import type { Suite, SuiteContext } from './suite.js';

const windows = { inFlight: [64], windowMs: 500 } as const;

/**
 * `tiny`, where a few microseconds show. Two clusters of the very same code differ by 5 % for as long as they run: V8 has
 * inlined in each process what happened to be hot there. So both are started anew, several times: the ratios of three starts
 * lay 1.5 % apart, those of the windows of one within 1 % of its own. And they are warm after 20 s only: with the first
 * export, 5 s after the first span, promises get hooks, and V8 compiles anew what awaits them.
 */
const starts = 5;
const tinyPlan: MeasurePlan = {
  ...windows,
  rounds: 12,
  models: modelSources(['tiny']),
  contestantsOf: () => [troupeSdk, tracedInPart],
  warmUpMs: 20_000,
};

/** What costs more than that, and a model whose run takes the time. */
const restPlan: MeasurePlan = {
  ...windows,
  rounds: 20,
  models: modelSources(['tiny', 'rank']),
  contestantsOf: (model) => [
    troupeSdk,
    ...(model === 'rank' ? [tracedInPart] : []),
    sampledInPart,
    tracedWhole,
  ],
  warmUpMs: 6_000,
};

async function measureTiny(context: SuiteContext): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let start = 0; start < (context.short ? 1 : starts); start += 1) {
    const ofStart = await measureModels(context, tinyPlan);
    const before = Math.max(0, ...samples.map(({ round }) => round));
    samples.push(...ofStart.map((sample) => ({ ...sample, round: before + sample.round })));
  }
  return samples;
}

function compareTo(samples: readonly Sample[], model: string, traced: readonly Contestant[]): Row[] {
  const comparisons = traced.map(
    ({ name }): Comparison => ({
      suite: 'telemetry',
      model,
      contestant: name,
      against: troupeSdk.name,
      inFlight: 64,
      metric: 'throughput',
      target: name === tracedInPart.name ? { kind: 'ratio', atLeast: 0.97 } : undefined,
    }),
  );
  return compareAll(samples, comparisons);
}

export const telemetry: Suite = {
  name: 'telemetry',
  text: 'traces off, one in a hundred, and all',
  seconds: 430,
  async run(context) {
    const tiny = await measureTiny(context);
    // Each way has a cluster of its own, whose start is all that the short form would wait for.
    const rest = context.short ? [] : await measureModels(context, restPlan);
    const rows = [
      ...compareTo(tiny, 'tiny', [tracedInPart]),
      ...compareTo(rest, 'rank', [tracedInPart]),
      ...['tiny', 'rank'].flatMap((model) => compareTo(rest, model, [sampledInPart, tracedWhole])),
    ];
    return {
      rows,
      samples: [...tiny, ...rest],
      tables: [
        medianTable(`One in a hundred, warm, ${starts} starts`, tiny),
        medianTable('Each way, one start', rest),
        ratioTable('Traces on beside off', rows),
      ],
      charts: throughputChart('telemetry', '64 in flight', rest, 64),
    };
  },
};
