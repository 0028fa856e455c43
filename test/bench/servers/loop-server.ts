/** The process of the contestant `loop`: no request comes in, the session runs the same rows again and again. */
import { type BenchModel, countElements, isAnswer, readRows } from '../bench-model.js';
import { serveCalls } from '../child.js';
import { type LoadResult, quantile } from '../closed-loop.js';
import { type BenchSession, openSession } from './session.js';

export interface LoopOrder {
  readonly model: BenchModel;
  readonly intraOpThreads: number;
  /** Rows of one run. */
  readonly rows: number;
  readonly windowMs: number;
}

const sessions = new Map<string, Promise<BenchSession>>();

/** Only the runs are timed: checking the answers is no part of the limit. A row's latency is that of its run. */
serveCalls(async ({ model, intraOpThreads, rows, windowMs }: LoopOrder): Promise<LoadResult> => {
  const session = sessions.get(model.name) ?? openSession(model.path, intraOpThreads);
  sessions.set(model.name, session);
  const { run } = await session;
  const inputs = readRows(model.inputsPath, model.rowCount);
  const expected = readRows(model.expectedPath, model.rowCount);
  const batch = new Float32Array(rows * countElements(model.rowShape));
  for (let row = 0; row < rows; row += 1) {
    batch.set(inputs[row % model.rowCount] as Float32Array, row * countElements(model.rowShape));
  }
  const shape = [rows, ...model.rowShape];
  const latencies: number[] = [];
  const beganCpu = process.cpuUsage();
  let elapsedMs = 0;
  while (elapsedMs < windowMs) {
    const beganMs = performance.now();
    const outputs = await run(batch, shape);
    const latencyMs = performance.now() - beganMs;
    elapsedMs += latencyMs;
    latencies.push(latencyMs);
    for (let row = 0; row < rows; row += 1) {
      const got = outputs.subarray(row * model.outputLength, (row + 1) * model.outputLength);
      if (!isAnswer(got, expected[row % model.rowCount] as Float32Array))
        throw new Error(`row ${row} is wrong: ${got.join(', ')}`);
    }
  }
  const { user, system } = process.cpuUsage(beganCpu);
  latencies.sort((a, b) => a - b);
  const answers = latencies.length * rows;
  return {
    answers,
    checked: answers,
    elapsedMs,
    throughput: (answers * 1_000) / elapsedMs,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: quantile(latencies, 1),
    cpuMs: (user + system) / 1_000,
  };
});
