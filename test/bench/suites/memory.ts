/**
 * Whether memory stays flat: 10,000 requests open at once, and a soak under steady load, with the pauses of garbage
 * collection in each process. The soak takes an hour by `--seconds 3600`; by itself it is 45 s.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type BenchModel, modelSources } from '../bench-model.js';
import { type Child, startChild } from '../child.js';
import { type LoadResult, quantile } from '../closed-loop.js';
import { startBenchCluster } from '../contestants/troupe-cluster.js';
import type { LoadCall } from '../load-generator.js';
import { figure, median, type Row, type Table } from '../outcome.js';
import { residentBytes } from '../process-figures.js';
import { intraOpThreads, type OpenStage, type Suite, withStage } from './suite.js';

const openRequests = 10_000;
const soakInFlight = 64;
const defaultSoakMs = 45_000;
const sampleEveryMs = 1_000;
const pauseLimitMs = 5;
/** The processes write their pauses every second. */
const flushMs = 1_500;

/** Resident memory of every process at one moment. */
interface MemorySample {
  readonly phase: 'open' | 'soak';
  readonly atMs: number;
  readonly bytes: Readonly<Record<string, number>>;
}

export const memory: Suite = {
  name: 'memory',
  text: '10,000 open requests, and a soak of 45 s (--seconds 3600: an hour); garbage collection',
  seconds: 75,
  async run(context) {
    const soakMs = context.windowMs ?? (context.short ? 2_000 : defaultSoakMs);
    return withStage(context, modelSources(['tiny']), async (stage) => {
      const [model] = stage.models;
      if (model === undefined) throw new Error('no model');
      const { processes, load, order } = await startObserved(stage, model);
      const samples: MemorySample[] = [];
      const run = (phase: MemorySample['phase'], inFlight: number, windowMs: number) =>
        context.progress.step(
          `${inFlight.toLocaleString('en-GB')} requests open for ${windowMs / 1_000} s`,
          () =>
            sampled(samples, phase, processes(), () =>
              load.call({ ...order, inFlight, rampMs: 500, windowMs }),
            ),
        );
      const count = context.short ? 1_000 : openRequests;
      await run('soak', soakInFlight, Math.min(2_000, soakMs)); // memory in use is grown before anything is compared
      samples.length = 0;
      const open = await run('open', count, context.short ? 1_000 : 10_000);
      await pause(flushMs);
      const before = readPauses(stage.folder, processes());
      const soak = await run('soak', soakInFlight, soakMs);
      await pause(flushMs);
      const pauses = [
        ...describePauses(`${count.toLocaleString('en-GB')} open`, before),
        ...describePauses('soak', readPauses(stage.folder, processes()), before),
      ];
      return {
        rows: [] as Row[],
        samples: [...samples, { phase: 'open', ...open }, { phase: 'soak', ...soak }, ...pauses],
        tables: [
          loadTable([
            [`${count.toLocaleString('en-GB')} open`, open],
            [`soak, ${soakInFlight} in flight`, soak],
          ]),
          memoryTable(samples),
          pauseTable(pauses),
        ],
        charts: [],
      };
    });
  },
};

/** A cluster and a load generator whose garbage collections are noted. */
async function startObserved(stage: OpenStage, model: BenchModel) {
  const observer = pathToFileURL(join(import.meta.dirname, '..', 'gc-observer.mjs')).href;
  const { cluster, serve, natsUrl, namespace } = stage.own(
    await startBenchCluster(intraOpThreads, undefined, {
      NODE_OPTIONS: `--import=${observer}`,
      // As many wait as the limit would allow, and the answered ones count until their ack has arrived.
      TROUPE_QUEUE_LIMIT: String(2 * openRequests),
      BENCH_GC_FOLDER: stage.folder,
    }),
  );
  await serve({ model });
  const load: Child<LoadCall, LoadResult> = stage.own(
    await startChild<LoadCall, LoadResult>('./load-generator.ts', ['--import', observer], {
      BENCH_GC_FOLDER: stage.folder,
      // The last of so many waits for all the others, on a busy machine for long.
      TROUPE_DEADLINE_MS: '60000',
    }),
  );
  const order = { model, servedAs: model.name, address: { kind: 'sdk', natsUrl, namespace } } as const;
  const processes = (): ReadonlyMap<string, number> =>
    new Map([
      ['client', load.pid],
      ['runner', cluster.hosts[0]?.runnerPids()[0] ?? 0],
      ['host', cluster.hosts[0]?.pid ?? 0],
      ['coordinator', cluster.coordinators[0]?.pid ?? 0],
      ['nats-server', cluster.nats.pid],
      ['redis-server', cluster.redis.pid],
    ]);
  return { processes, load, order };
}

async function sampled<T>(
  samples: MemorySample[],
  phase: MemorySample['phase'],
  processes: ReadonlyMap<string, number>,
  work: () => Promise<T>,
): Promise<T> {
  const startedMs = performance.now();
  const take = () => {
    const bytes = [...processes].map(([name, pid]) => [name, residentBytes(pid) ?? Number.NaN] as const);
    samples.push({ phase, atMs: performance.now() - startedMs, bytes: Object.fromEntries(bytes) });
  };
  take();
  const timer = setInterval(take, sampleEveryMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    take();
  }
}

/** Pauses of one process in one phase, in milliseconds. */
interface Pauses {
  readonly phase: string;
  readonly process: string;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** All pauses of each process since its start, in their order. */
function readPauses(folder: string, processes: ReadonlyMap<string, number>): Map<string, number[]> {
  const files = new Set(readdirSync(folder));
  return new Map(
    [...processes].flatMap(([name, pid]) => {
      if (!files.has(`${pid}.txt`)) return []; // not a process of Node
      const lines = readFileSync(join(folder, `${pid}.txt`), 'utf8').split('\n');
      return [[name, lines.filter((line) => line !== '').map(Number)] as const];
    }),
  );
}

/** What came after `before`. */
function describePauses(
  phase: string,
  pauses: ReadonlyMap<string, readonly number[]>,
  before: ReadonlyMap<string, readonly number[]> = new Map(),
): Pauses[] {
  return [...pauses].flatMap(([process, all]) => {
    const sorted = all.slice(before.get(process)?.length ?? 0).sort((a, b) => a - b);
    if (sorted.length === 0) return []; // it collected nothing in so short a time
    const [p50, p99, max] = [0.5, 0.99, 1].map((part) => quantile(sorted, part)) as [number, number, number];
    return { phase, process, count: sorted.length, p50, p99, max };
  });
}

function loadTable(phases: readonly (readonly [string, LoadResult])[]): Table {
  return {
    title: 'Load',
    head: ['phase', 'answers', 'answers/s', 'p50 ms', 'p99 ms'],
    rows: phases.map(([phase, { checked, throughput, p50, p99 }]) => [
      phase,
      checked.toLocaleString('en-GB'),
      figure(throughput),
      figure(p50),
      figure(p99),
    ]),
  };
}

const mebibytes = (bytes: number) => figure(bytes / 1024 / 1024);

/** Growth is the slope of the soak's second half, in which memory that is in use has its size. */
function memoryTable(samples: readonly MemorySample[]): Table {
  const names = Object.keys(samples[0]?.bytes ?? {});
  return {
    title: 'Resident memory, MiB',
    head: [
      'process',
      'most with requests open',
      'soak: start',
      'middle',
      'end',
      'growth a minute, second half',
    ],
    rows: names.map((name) => {
      const of = (phase: MemorySample['phase']) => samples.filter((one) => one.phase === phase);
      const soak = of('soak');
      const half = soak.slice(soak.length >> 1);
      const at = (sample: MemorySample | undefined) => sample?.bytes[name] ?? Number.NaN;
      return [
        name,
        mebibytes(Math.max(...of('open').map(at))),
        mebibytes(at(soak[0])),
        mebibytes(median(soak.slice(soak.length >> 2, (soak.length * 3) >> 2).map(at))),
        mebibytes(at(soak.at(-1))),
        mebibytes(slope(half.map((one) => [one.atMs / 60_000, at(one)]))),
      ];
    }),
  };
}

/** Least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const [meanX, meanY] = [0, 1].map(
    (axis) => points.reduce((sum, point) => sum + (point[axis] ?? 0), 0) / points.length,
  ) as [number, number];
  let [covariance, variance] = [0, 0];
  for (const [x, y] of points) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
  }
  return variance === 0 ? 0 : covariance / variance;
}

function pauseTable(pauses: readonly Pauses[]): Table {
  return {
    title: `Pauses for garbage collection, ms (wanted: p99 below ${pauseLimitMs})`,
    head: ['phase', 'process', 'collections', 'p50', 'p99', 'longest', ''],
    rows: pauses.map(({ phase, process, count, p50, p99, max }) => [
      phase,
      process,
      count.toLocaleString('en-GB'),
      figure(p50),
      figure(p99),
      figure(max),
      p99 < pauseLimitMs ? 'reached' : 'missed',
    ]),
  };
}
