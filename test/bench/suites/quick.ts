/** The rows of peers, limit and batching at 64 in flight from one set of rounds: three of two seconds, within three minutes. */
import { type ModelName, modelNames, modelSources } from '../bench-model.js';
import { fastify } from '../contestants/fastify.js';
import { fastifyBatched } from '../contestants/fastify-batched.js';
import { loop } from '../contestants/loop.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { medianTable, ratioTable, type Sample, throughputChart } from '../outcome.js';
import { batchingRows, fixedBatching, withoutBatching } from './batching.js';
import { limitModels, limitRows } from './limit.js';
import { measureModels } from './measure-models.js';
import { peersRows, peersTables } from './peers.js';
import type { Suite } from './suite.js';

export const quick: Suite = {
  name: 'quick',
  text: 'the rows of peers, limit and batching, 64 in flight, three rounds of two seconds',
  seconds: 160,
  async run(context) {
    const samples = await measureModels(context, {
      models: modelSources(modelNames),
      contestantsOf: (model) => [
        ...(limitModels.includes(model as (typeof limitModels)[number]) ? [loop] : []),
        fastify,
        fastifyBatched,
        troupeSdk,
        ...(model === ('rank' satisfies ModelName) ? [withoutBatching, fixedBatching] : []),
      ],
      inFlight: [64],
      rounds: 3,
      windowMs: 2_000,
    });
    // Batches as they form are what the SDK's contestant has anyway.
    const asDynamic = samples
      .filter(({ contestant }) => contestant === 'troupe-sdk')
      .map((one): Sample => ({ ...one, contestant: 'dynamic' }));
    const [peers, limit, batching] = [
      peersRows(samples),
      limitRows(samples),
      batchingRows([...samples, ...asDynamic]),
    ];
    return {
      rows: [...peers, ...limit, ...batching],
      samples,
      tables: [
        medianTable('Each contestant', samples),
        ...peersTables(peers),
        ratioTable('Troupe beside the loop', limit),
        ratioTable('Batches as they form', batching),
      ],
      charts: throughputChart('quick', '64 in flight', samples, 64),
    };
  },
};
