import { bestBatch } from './best-batch.js';
import type { Contestant } from './contestant.js';
import { startWeb } from './web.js';

/** The same with batching by hand, in the same process. */
export const fastifyBatched: Contestant = {
  name: 'fastify-batched',
  why:
    'As fastify; all requests that the event loop has read run together, up to the best number of rows for each model, ' +
    'and the next batch gathers in the sockets while a run blocks the thread. A timer would only add waiting. ' +
    'A convolution gains nothing from company, so the picture model runs row by row.',
  start: (stage) => startWeb('./servers/batched-server.ts', stage, (model) => bestBatch[model.name] ?? 1),
};
