/** What a payload costs by its size and form, with a model that gives back what it gets. */
import { identityModel } from '@troupe/shared/onnx';
import type { ModelSource } from '../bench-model.js';
import { troupeNats } from '../contestants/troupe-nats.js';
import { troupeNatsJson } from '../contestants/troupe-nats-json.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { type Comparison, compareAll, medianTable, ratioTable, throughputChart } from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';

const sizes = { '1kB': 1_024, '150kB': 150 * 1_024, '1MB': 1_024 * 1_024 } as const;
const inFlight = 8;

/** One row of so many bytes in, the same out. */
export function identitySource(name: string, bytes: number): ModelSource {
  const length = bytes / 4;
  return {
    name,
    text: `identity of ${bytes} bytes`,
    make: () => identityModel({ dims: ['N', length] }),
    rowShape: [length],
    outputLength: length,
    rowCount: 4,
  };
}

export const wire: Suite = {
  name: 'wire',
  text: 'JSON and binary at 1 kB, 150 kB and 1 MB, 8 and 1 in flight',
  seconds: 105,
  async run(context) {
    const sources = Object.entries(sizes)
      .slice(0, context.short ? 1 : 3)
      .map(([size, bytes]) => identitySource(`identity-${size}`, bytes));
    const contestants = [troupeSdk, troupeNats, troupeNatsJson];
    const samples = await measureModels(context, {
      models: sources,
      contestantsOf: () => contestants,
      inFlight: context.short ? [inFlight] : [inFlight, 1],
      rounds: 3,
      windowMs: 1_000,
    });
    const comparisons = sources.flatMap(({ name }) =>
      [inFlight, 1].flatMap((count) =>
        ['troupe-sdk', 'troupe-nats'].flatMap((contestant) =>
          (['throughput', 'p50', 'p99'] as const).map(
            (metric): Comparison => ({
              suite: 'wire',
              model: name,
              contestant,
              against: 'troupe-nats-json',
              inFlight: count,
              metric,
            }),
          ),
        ),
      ),
    );
    const rows = compareAll(samples, comparisons);
    return {
      rows,
      samples,
      tables: [medianTable('Each form', samples), ratioTable('Binary beside JSON', rows)],
      charts: throughputChart('wire', `${inFlight} in flight`, samples, inFlight),
    };
  },
};
