/** Troupe beside what a team does today, saturated and at rest. */
import { type ModelName, modelNames, modelSources } from '../bench-model.js';
import { fastify } from '../contestants/fastify.js';
import { fastifyBatched } from '../contestants/fastify-batched.js';
import { troupeNats } from '../contestants/troupe-nats.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import {
  type Comparison,
  compareAll,
  medianTable,
  type Row,
  ratioTable,
  type Sample,
  type Table,
  type Target,
  throughputChart,
} from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';

/** What Troupe's throughput must be at 64 in flight, as multiples of Fastify's. */
const throughputTargets: Readonly<Record<ModelName, number>> = { tiny: 1.6, mid: 4, rank: 7, cnn: 1 };
/** By how many milliseconds p50 may be above Fastify's with one request in flight. */
const latencyTargets: Readonly<Record<ModelName, number>> = { tiny: 0.25, mid: 0.25, rank: 0.25, cnn: 1.5 };

export const peers: Suite = {
  name: 'peers',
  text: 'Troupe beside Fastify, 64 and 1 in flight',
  seconds: 255,
  async run(context) {
    const samples = await measureModels(context, {
      models: modelSources(modelNames),
      contestantsOf: () => [fastify, fastifyBatched, troupeSdk, troupeNats],
      inFlight: [64, 1],
      rounds: 3,
      windowMs: 2_000,
    });
    const rows = peersRows(samples);
    return {
      rows,
      samples,
      tables: [medianTable('Each contestant', samples), ...peersTables(rows)],
      charts: throughputChart('peers', '64 in flight', samples, 64),
    };
  },
};

/** At 64 in flight throughput and the slowest, at rest the usual request; the other rows are in the JSON. */
export function peersTables(rows: readonly Row[]): Table[] {
  const shown = rows.filter(({ inFlight, metric }) => (inFlight === 1) === (metric === 'p50'));
  return [
    ratioTable(
      'Troupe beside Fastify',
      shown.filter(({ against }) => against === 'fastify'),
    ),
    ratioTable(
      'Troupe beside Fastify with batching by hand',
      shown.filter(({ against }) => against === 'fastify-batched'),
    ),
  ];
}

/** Every Troupe against every Fastify; the SDK against plain Fastify is held to the targets. */
export function peersRows(samples: readonly Sample[]): Row[] {
  const comparisons: Comparison[] = [];
  for (const inFlight of [64, 1]) {
    for (const model of modelNames) {
      for (const contestant of ['troupe-sdk', 'troupe-nats']) {
        for (const against of ['fastify', 'fastify-batched']) {
          const targets =
            contestant === 'troupe-sdk' && against === 'fastify' ? targetsOf(model, inFlight) : {};
          for (const metric of ['throughput', 'p50', 'p99'] as const) {
            comparisons.push({
              suite: 'peers',
              model,
              contestant,
              against,
              inFlight,
              metric,
              target: targets[metric],
            });
          }
        }
      }
    }
  }
  return compareAll(samples, comparisons);
}

function targetsOf(model: ModelName, inFlight: number): { throughput?: Target; p50?: Target; p99?: Target } {
  return inFlight === 1
    ? { p50: { kind: 'difference', atMost: latencyTargets[model] } }
    : {
        throughput: { kind: 'ratio', atLeast: throughputTargets[model] },
        p99: { kind: 'ratio', atMost: 1 },
      };
}
