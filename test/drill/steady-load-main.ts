/**
 * The process behind `steady-load.ts`: an open loop of requests at a fixed rate through the client SDK, so that a stall
 * of the cluster does not slow the asking. Every answer is compared with what its version must give. Results are kept in
 * memory and written to a file at the end: start and end on the machine's monotonic clock, version, outcome.
 */
import { writeFileSync } from 'node:fs';
import { connect, type TroupeClient } from '@troupe/client';
import { trapValue } from './affine-models.js';
import type { LoadOrder, LoadReport } from './steady-load.js';

/** More than an hour of a drill asks; what is not used takes no memory. */
const capacity = 40_000_000;
const startMs = new Float64Array(capacity);
const endMs = new Float64Array(capacity);
const versions = new Int32Array(capacity);
/** As in `LoadResults`. */
const outcomes = new Uint8Array(capacity);
const factors = new Map<number, number>();
const faults: string[] = [];
let sent = 0;
let settled = 0;
let client: TroupeClient | undefined;
let model = '';
let deadlineMs = 10_000;
let trapShare = 0;
let pace: NodeJS.Timeout | undefined;
let idle: (() => void) | undefined;

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (report: LoadReport) => process.send?.(report);

function judge(index: number, row: Float32Array, version: number, degraded: boolean, got: unknown): number {
  const factor = factors.get(version);
  if (factor === undefined || !(got instanceof Float32Array) || got.length !== row.length) {
    if (faults.length < 20)
      faults.push(`request ${index}: version ${version} gave ${String(got).slice(0, 80)}`);
    return 2;
  }
  for (const [at, value] of row.entries()) {
    const want = Math.fround(value * factor);
    if (Math.abs((got[at] ?? Number.NaN) - want) <= 1e-5 * Math.max(1, Math.abs(want))) continue;
    if (faults.length < 20) faults.push(`request ${index}: version ${version} gave ${got[at]}, not ${want}`);
    return 2;
  }
  return degraded ? 4 : 1;
}

async function ask(): Promise<void> {
  const index = sent;
  if (client === undefined) return;
  if (index >= capacity) throw new Error(`a drill keeps the results of at most ${capacity} requests`);
  sent += 1;
  const trapped = index % 10 < trapShare * 10;
  const row = new Float32Array([trapped ? trapValue : index % 4, (index % 97) / 97, (index % 31) - 15, 1]);
  startMs[index] = nowMs();
  try {
    const answer = await client.infer(model, row, { deadlineMs });
    endMs[index] = nowMs();
    versions[index] = answer.version;
    outcomes[index] = judge(index, row, answer.version, answer.degraded, answer.outputs.output?.data);
  } catch (error) {
    endMs[index] = nowMs();
    outcomes[index] = 3;
    if (faults.length < 20)
      faults.push(`request ${index} at ${startMs[index]?.toFixed(0)}: ${String(error)}`);
  }
  settled += 1;
  if (settled === sent) idle?.();
}

/** Requests due by the clock are sent, and no burst follows a late timer beyond what 50 ms hold. */
function keepPace(ratePerSecond: number): void {
  clearInterval(pace);
  if (ratePerSecond <= 0) return;
  let due = nowMs();
  pace = setInterval(() => {
    const now = nowMs();
    due = Math.max(due, now - 50);
    for (; due <= now; due += 1_000 / ratePerSecond) void ask();
  }, 2);
}

/** Requests a second with so many open at once. */
async function measureCapacity(inFlight: number, forMs: number): Promise<number> {
  const from = sent;
  const startedMs = nowMs();
  const lane = async () => {
    while (nowMs() - startedMs < forMs) await ask();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return ((sent - from) * 1_000) / (nowMs() - startedMs);
}

async function obey(order: LoadOrder): Promise<void> {
  switch (order.kind) {
    case 'open':
      ({ model, deadlineMs, trapShare } = order);
      client = await connect({ servers: order.servers, namespace: order.namespace });
      tell({ kind: 'done' });
      return;
    case 'version':
      factors.set(order.version, order.factor);
      tell({ kind: 'done' });
      return;
    case 'capacity':
      tell({ kind: 'capacity', ratePerSecond: await measureCapacity(order.inFlight, order.forMs) });
      return;
    case 'pace':
      keepPace(order.ratePerSecond);
      tell({ kind: 'done' });
      return;
    case 'end': {
      clearInterval(pace);
      if (settled < sent) {
        await new Promise<void>((resolve) => {
          idle = resolve;
        });
      }
      await client?.close();
      const part = (array: Float64Array | Int32Array | Uint8Array) => {
        const { buffer, byteOffset, byteLength } = array.slice(0, sent);
        return Buffer.from(buffer, byteOffset, byteLength);
      };
      writeFileSync(order.path, Buffer.concat([startMs, endMs, versions, outcomes].map(part)));
      tell({ kind: 'ended', sent, faults });
      process.disconnect();
    }
  }
}

process.on('message', (order: LoadOrder) => {
  obey(order).catch((error: unknown) => tell({ kind: 'failed', message: String(error) }));
});
process.on('disconnect', () => {
  if (pace !== undefined) process.exit(1); // the drill has died: nobody reads the results
});
