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
 * V8 compiles the SDK's functions once they have run some thousand times, and until then a span costs two to four times as
 * much; and with the first export, 5 s after the first span, promises get hooks, and what awaits them is compiled anew.
 */
const warmUpMs = (model: string) => (model === 'tiny' ? 20_000 : 5_000);

/**
 * What has to be near to none, on `tiny`, where a few microseconds show, and on `rank`. Two clusters of the very same code
 * differ by 5 % and more for as long as they run: V8 has inlined in each process what happened to be hot there. So both are
 * started anew, many times for `tiny`, now the one first and now the other.
 */
const starts = 10;
const startsWithRank = 5;
const contestants = [troupeSdk, tracedInPart];
const startPlan: Omit<MeasurePlan, 'contestantsOf' | 'models'> = { ...windows, rounds: 12, warmUpMs };

/** What costs more than that. */
const restPlan: MeasurePlan = {
  ...windows,
  rounds: 20,
  models: modelSources(['tiny', 'rank']),
  contestantsOf: () => [troupeSdk, sampledInPart, tracedWhole],
  warmUpMs,
};

async function measureStarts(context: SuiteContext): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let start = 0; start < (context.short ? 1 : starts); start += 1) {
    const inTurn = start % 2 === 0 ? contestants : contestants.toReversed();
    const models = modelSources(start < startsWithRank ? ['tiny', 'rank'] : ['tiny']);
    const ofStart = await measureModels(context, { ...startPlan, models, contestantsOf: () => inTurn });
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
  seconds: 1_020,
  async run(context) {
    const inPart = await measureStarts(context);
    // Each way has a cluster of its own, whose start is all that the short form would wait for.
    const rest = context.short ? [] : await measureModels(context, restPlan);
    const models = ['tiny', 'rank'];
    const rows = [
      ...models.flatMap((model) => compareTo(inPart, model, [tracedInPart])),
      ...models.flatMap((model) => compareTo(rest, model, [sampledInPart, tracedWhole])),
    ];
    return {
      rows,
      samples: [...inPart, ...rest],
      tables: [
        medianTable(`One in a hundred, warm, ${starts} starts (${startsWithRank} of rank)`, inPart),
        medianTable('Each way, one start', rest),
        ratioTable('Traces on beside off', rows),
      ],
      charts: throughputChart('telemetry', '64 in flight', rest, 64),
    };
  },
};
