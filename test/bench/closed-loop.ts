/**
 * The load: so many requests in flight, each followed by the next as soon as it is answered, every answer checked. Runs
 * in the load generator's process; knows nothing of how a request travels.
 */
import { isAnswer } from './bench-model.js';
import { LatencySample } from './latency-sample.js';

/** A way to a contestant for one model, and what it is answered with. */
export interface Door {
  /** Sends row `row`. `slot` is from 0 up to what is in flight, never twice at once. */
  ask(row: number, slot: number): Promise<unknown>;
  /** Apart from `ask`, so that a call costs the one `await` that it costs a service, and none of the benchmark's. */
  valuesOf(answer: unknown): ArrayLike<number>;
}

export interface LoadOrder {
  readonly inFlight: number;
  /** Load before what is measured, in milliseconds. */
  readonly rampMs: number;
  readonly windowMs: number;
}

/** What one window has given. Latencies in milliseconds. */
export interface LoadResult {
  /** Answers inside the window. */
  readonly answers: number;
  /** All that were checked, ramp and end included. */
  readonly checked: number;
  readonly elapsedMs: number;
  /** Answers in a second. */
  readonly throughput: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Processor time of the measuring process during the window, in milliseconds. */
  readonly cpuMs: number;
  /** Rows of one run, where the contestant chose them itself. */
  readonly batchRows?: number;
}

/** An answer that never comes ends the benchmark. */
const stallLimitMs = 60_000;

/**
 * The window opens with an answer and ends with one: answers come in batches, and a window cut at any other moment would
 * count up to a batch too many or too few. The load goes on until its end, so that its last request sees the same company
 * as its first.
 */
export async function runClosedLoop(
  door: Door,
  expected: readonly Float32Array[],
  { inFlight, rampMs, windowMs }: LoadOrder,
): Promise<LoadResult> {
  const startedMs = performance.now();
  const latencies = new LatencySample();
  let checked = 0;
  let openedMs: number | undefined;
  let closedMs: number | undefined;
  let openedCpu = process.cpuUsage();
  let closedCpu = openedCpu;
  let nextRow = 0;
  let lastMs = startedMs;

  const note = (latencyMs: number, nowMs: number) => {
    if (closedMs !== undefined) return;
    if (openedMs === undefined) {
      if (nowMs - startedMs < rampMs) return;
      openedMs = nowMs;
      openedCpu = process.cpuUsage();
      return; // this one opens the window; those behind it count
    }
    latencies.add(latencyMs);
    if (nowMs - openedMs >= windowMs) {
      closedMs = nowMs;
      closedCpu = process.cpuUsage(openedCpu);
    }
  };

  const drive = async (slot: number) => {
    while (closedMs === undefined) {
      const row = nextRow % expected.length;
      nextRow += 1;
      const sentMs = performance.now();
      const answer = await door.ask(row, slot);
      const nowMs = performance.now();
      const values = door.valuesOf(answer);
      if (!isAnswer(values, expected[row] as Float32Array)) {
        throw new Error(`row ${row} was answered with ${[...Array.from(values).slice(0, 8)].join(', ')}`);
      }
      checked += 1;
      lastMs = nowMs;
      note(nowMs - sentMs, nowMs);
    }
  };

  let watch: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    watch = setInterval(() => {
      if (performance.now() - lastMs > stallLimitMs) reject(new Error(`no answer for ${stallLimitMs} ms`));
    }, 1_000);
  });
  try {
    await Promise.race([Promise.all(Array.from({ length: inFlight }, (_, slot) => drive(slot))), stalled]);
  } finally {
    clearInterval(watch);
  }
  const elapsedMs = (closedMs ?? 0) - (openedMs ?? 0);
  const { count: answers, max } = latencies;
  const sorted = latencies.sorted();
  return {
    answers,
    checked,
    elapsedMs,
    throughput: (answers * 1_000) / elapsedMs,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max,
    cpuMs: (closedCpu.user + closedCpu.system) / 1_000,
  };
}

/** The value below which this part of a sorted list lies (nearest rank). */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}
