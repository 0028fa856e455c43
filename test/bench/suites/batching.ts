/** What batching brings, and that nobody has to choose its size. */
import { modelSources } from '../bench-model.js';
import type { Contestant } from '../contestants/contestant.js';
import { startTroupe } from '../contestants/troupe.js';
import {
  type Comparison,
  compareAll,
  medianTable,
  type Row,
  ratioTable,
  type Sample,
  throughputChart,
} from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';

/** One row in each run. */
export const withoutBatching: Contestant = {
  name: 'none',
  why: 'Batches of one row, which is how a model serves that is not batchable.',
  start: (stage) => startTroupe('sdk', stage, { suffix: '-none', maxBatchSize: 1 }),
};

/** Eight rows in each run, for which a request waits. */
export const fixedBatching: Contestant = {
  name: 'fixed-8',
  why: 'Waits until eight are together: with 64 in flight they always come.',
  start: (stage) => startTroupe('sdk', stage, { suffix: '-fixed', maxBatchSize: 8, maxDelayMs: 100 }),
};

/** As Troupe does it by itself. */
const dynamicBatching: Contestant = {
  name: 'dynamic',
  why: 'No setting at all.',
  start: (stage) => startTroupe('sdk', stage),
};

export const batching: Suite = {
  name: 'batching',
  text: 'no batches, batches of eight, batches as they form',
  seconds: 55,
  async run(context) {
    const samples = await measureModels(context, {
      models: modelSources(['rank']),
      contestantsOf: () => [withoutBatching, fixedBatching, dynamicBatching],
      inFlight: [64],
      rounds: 5,
      windowMs: 2_000,
    });
    const rows = batchingRows(samples);
    return {
      rows,
      samples,
      tables: [medianTable('Each way', samples), ratioTable('Batches as they form', rows)],
      charts: throughputChart('batching', '64 in flight', samples, 64),
    };
  },
};

export function batchingRows(samples: readonly Sample[]): Row[] {
  const common = { suite: 'batching', model: 'rank', contestant: 'dynamic', inFlight: 64 } as const;
  const comparisons: Comparison[] = [
    { ...common, against: 'none', metric: 'throughput', target: { kind: 'ratio', atLeast: 6 } },
    { ...common, against: 'fixed-8', metric: 'throughput', target: { kind: 'ratio', atLeast: 0.97 } },
    { ...common, against: 'none', metric: 'p99', target: { kind: 'ratio', atMost: 1.1 } },
  ];
  return compareAll(samples, comparisons);
}
