/** What the two Fastify contestants have in common: a server's process, and a load generator that asks it by HTTP. */
import type { BenchModel } from '../bench-model.js';
import { startChild } from '../child.js';
import type { LoadResult } from '../closed-loop.js';
import type { LoadCall } from '../load-generator.js';
import type { ServerOrder } from '../servers/server-order.js';
import type { RunningContestant, Stage } from './contestant.js';

export async function startWeb(
  module: string,
  { models, intraOpThreads }: Stage,
  maxRows: (model: BenchModel) => number,
): Promise<RunningContestant> {
  const server = await startChild<ServerOrder, number>(module);
  const load = await startChild<LoadCall, LoadResult>('./load-generator.ts');
  const port = await server.call({
    models: models.map((model) => ({ model, maxRows: maxRows(model) })),
    intraOpThreads,
  });
  return {
    measure: (model, order) =>
      load.call({ ...order, model, servedAs: model.name, address: { kind: 'http', port } }),
    async stop() {
      await load.stop();
      await server.stop();
    },
  };
}
