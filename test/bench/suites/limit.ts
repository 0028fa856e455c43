/** How much of the runtime's own speed is left behind broker, batcher and processes. */
import { modelSources } from '../bench-model.js';
import { loop } from '../contestants/loop.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { compareAll, medianTable, type Row, ratioTable, type Sample, throughputChart } from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';

const targets = { rank: 0.9, cnn: 0.93 } as const;
/** The models that the limit is measured on: for the others a request costs more than its run. */
export const limitModels = ['rank', 'cnn'] as const;

export const limit: Suite = {
  name: 'limit',
  text: 'Troupe beside session.run() in a loop, the same threads',
  seconds: 65,
  async run(context) {
    const samples = await measureModels(context, {
      models: modelSources(limitModels),
      contestantsOf: () => [loop, troupeSdk],
      inFlight: [64],
      rounds: 5,
      windowMs: 2_000,
    });
    const rows = limitRows(samples);
    return {
      rows,
      samples,
      tables: [medianTable('Each contestant', samples), ratioTable('Troupe beside the loop', rows)],
      charts: throughputChart('limit', '64 in flight', samples, 64),
    };
  },
};

export function limitRows(samples: readonly Sample[]): Row[] {
  return compareAll(
    samples,
    limitModels.map((model) => ({
      suite: 'limit',
      model,
      contestant: 'troupe-sdk',
      against: 'loop',
      inFlight: 64,
      metric: 'throughput',
      target: { kind: 'ratio', atLeast: targets[model] },
    })),
  );
}
