/** The process of the contestant `fastify`: one run for each request, as it comes. */
import { serveCalls } from '../child.js';
import type { ServerOrder } from './server-order.js';
import { openSession } from './session.js';
import { type RunRow, serveRows } from './web-server.js';

serveCalls(async ({ models, intraOpThreads }: ServerOrder) => {
  const runs = new Map<string, RunRow>();
  for (const { model } of models) {
    const session = await openSession(model.path, intraOpThreads);
    const shape = [1, ...model.rowShape];
    runs.set(model.name, (row) => session.run(row, shape));
  }
  return serveRows(runs);
});
