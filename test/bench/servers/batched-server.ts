/** The process of the contestant `fastify-batched`: requests that are there together run together. */
import { type BenchModel, countElements } from '../bench-model.js';
import { serveCalls } from '../child.js';
import type { ServerOrder } from './server-order.js';
import { type BenchSession, openSession } from './session.js';
import { type RunRow, serveRows } from './web-server.js';

interface Waiting {
  readonly row: Float32Array;
  resolve(output: Float32Array): void;
  reject(error: unknown): void;
}

/**
 * Collects until the event loop has read what the sockets hold (`setImmediate`), then runs what has come. A run blocks
 * the thread, so that the next batch gathers in the sockets meanwhile: no timer is needed, and nobody waits for company
 * while the session is idle.
 */
function batchRows(session: BenchSession, { rowShape, outputLength }: BenchModel, maxRows: number): RunRow {
  const rowLength = countElements(rowShape);
  const buffer = new Float32Array(maxRows * rowLength);
  const waiting: Waiting[] = [];
  let busy = false;

  async function runBatch(): Promise<void> {
    const batch = waiting.splice(0, maxRows);
    for (const [index, { row }] of batch.entries()) buffer.set(row, index * rowLength);
    try {
      const outputs = await session.run(buffer.subarray(0, batch.length * rowLength), [
        batch.length,
        ...rowShape,
      ]);
      for (const [index, { resolve }] of batch.entries()) {
        resolve(outputs.subarray(index * outputLength, (index + 1) * outputLength));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    busy = waiting.length > 0;
    if (busy) setImmediate(runBatch);
  }

  return (row) =>
    new Promise((resolve, reject) => {
      waiting.push({ row, resolve, reject });
      if (busy) return;
      busy = true;
      setImmediate(runBatch);
    });
}

serveCalls(async ({ models, intraOpThreads }: ServerOrder) => {
  const runs = new Map<string, RunRow>();
  for (const { model, maxRows } of models) {
    const session = await openSession(model.path, intraOpThreads);
    runs.set(
      model.name,
      maxRows === 1 ? (row) => session.run(row, [1, ...model.rowShape]) : batchRows(session, model, maxRows),
    );
  }
  return serveRows(runs);
});
