import type { BenchModel } from '../bench-model.js';
import { startChild } from '../child.js';
import type { LoadResult } from '../closed-loop.js';
import type { LoopOrder } from '../servers/loop-server.js';
import type { Contestant } from './contestant.js';

const candidates = [1, 2, 4, 8, 16, 32, 64];
const tryMs = 300;

/** `session.run()` in a loop in one process: the limit of the runtime itself on this machine. */
export const loop: Contestant = {
  name: 'loop',
  why:
    'The best of 1, 2, 4, … 64 rows for each run, found on this machine just before; nothing comes in and nothing goes ' +
    'out, and the time between runs is not counted.',
  async start({ intraOpThreads }) {
    const child = await startChild<LoopOrder, LoadResult>('./servers/loop-server.ts');
    const best = new Map<string, number>();
    async function bestRows(model: BenchModel): Promise<number> {
      const known = best.get(model.name);
      if (known !== undefined) return known;
      await child.call({ model, intraOpThreads, rows: 1, windowMs: tryMs }); // the first runs are slow
      let [bestCount, bestThroughput] = [1, 0];
      for (const rows of candidates) {
        const { throughput } = await child.call({ model, intraOpThreads, rows, windowMs: tryMs });
        if (throughput > bestThroughput) [bestCount, bestThroughput] = [rows, throughput];
      }
      best.set(model.name, bestCount);
      return bestCount;
    }
    return {
      async measure(model, { windowMs }) {
        const rows = await bestRows(model);
        return { ...(await child.call({ model, intraOpThreads, rows, windowMs })), batchRows: rows };
      },
      stop: () => child.stop(),
    };
  },
};
