/** What traces cost: no SDK in any process beside the SDK in all of them. */
import { modelSources } from '../bench-model.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { sampledInPart, tracedInPart, tracedWhole } from '../contestants/troupe-traced.js';
import { type Comparison, compareAll, medianTable, ratioTable, throughputChart } from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';

export const telemetry: Suite = {
  name: 'telemetry',
  text: 'traces off, one in a hundred, and all',
  seconds: 180,
  async run(context) {
    // Each way has a cluster of its own, whose start is all that the short form would wait for.
    const [models, traced] = context.short
      ? ([['tiny'], [tracedWhole]] as const)
      : ([
          ['tiny', 'rank'],
          [tracedInPart, sampledInPart, tracedWhole],
        ] as const);
    const samples = await measureModels(context, {
      models: modelSources(models),
      contestantsOf: () => [troupeSdk, ...traced],
      inFlight: [64],
      rounds: 11,
      windowMs: 1_500,
    });
    const comparisons = models.flatMap((model) =>
      traced.map(
        ({ name }): Comparison => ({
          suite: 'telemetry',
          model,
          contestant: name,
          against: troupeSdk.name,
          inFlight: 64,
          metric: 'throughput',
          target: name === tracedInPart.name ? { kind: 'ratio', atLeast: 0.97 } : undefined,
        }),
      ),
    );
    const rows = compareAll(samples, comparisons);
    return {
      rows,
      samples,
      tables: [medianTable('Each way', samples), ratioTable('Traces on beside off', rows)],
      charts: throughputChart('telemetry', '64 in flight', samples, 64),
    };
  },
};
