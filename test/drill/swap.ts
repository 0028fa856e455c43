/**
 * `npm run drill -- swap`: under steady load at half of what the cluster can, good versions replace each other, and bad
 * ones are put forward. The promise: no request fails, no answer comes from a version that does not bear its number, every
 * bad version is refused or taken back by itself for the right cause, good swaps cost at most twice the p99 of the time
 * just before, and memory comes back.
 */
import type { ClusterHost } from '../harness/cluster.js';
import { affineModel } from './affine-models.js';
import { type BadKind, badKinds, putForward } from './bad-versions.js';
import type { Drill, DrillContext } from './drill.js';
import { proportionalBytes } from './memory-sampler.js';
import { type LoadResults, monotonicMs, startSteadyLoad } from './steady-load.js';
import { onlyWorkerLeft, paceAtHalf, rolloutEnded, type SwapGround, swapModel } from './swap-ground.js';
import { justBefore, median, openBetween, percentile, type Span } from './windows.js';

interface Size {
  readonly swaps: number;
  readonly bad: number;
  /** Good swaps after which the first memory reading is taken. */
  readonly settleSwaps: number;
  readonly capacityMs: number;
  /** Swaps of one block; the ratio of p99 is the median over the blocks. */
  readonly block: number;
  readonly restMs: number;
  /** Requests a second, at most: half of what the cluster could a moment ago may be more than it can now. */
  readonly rateLimit: number;
}

const full: Size = {
  swaps: 100,
  bad: 20,
  settleSwaps: 10,
  capacityMs: 4_000,
  block: 20,
  restMs: 10_000,
  rateLimit: Number.POSITIVE_INFINITY,
};
const short: Size = {
  swaps: 3,
  bad: 4,
  settleSwaps: 1,
  capacityMs: 400,
  block: 3,
  restMs: 500,
  rateLimit: 200,
};

/** Long enough for p99 to be seen from the leases, short enough for a hundred swaps. */
const bakeMs = 400;
const badBakeMs = 20_000;
const routeGraceMs = 400;
const memoryTolerance = 0.05;
const latencyFactor = 2;

export const swapDrill: Drill = async (context) => {
  const size = context.short ? short : full;
  const cluster = await context.startCluster({
    devices: 'cpu:0',
    // What hangs on load is waited for so long; the default of two minutes would make the drill a long one.
    env: { TROUPE_ROUTE_GRACE_MS: String(routeGraceMs), TROUPE_LOAD_LIMIT_MS: '10000' },
  });
  const client = await cluster.connect();
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error('the cluster has no host');
  const good = [
    { version: 0, factor: 2, bytes: affineModel(2, { weightBytes: 1_000_000 }) },
    { version: 0, factor: 3, bytes: affineModel(3, { weightBytes: 1_000_000 }) },
  ];
  for (const one of good) {
    const { version } = await client.registerModel({ name: swapModel, bytes: one.bytes, replicas: 1 });
    one.version = version;
  }
  const load = await startSteadyLoad({
    servers: cluster.natsUrl,
    namespace: cluster.namespace,
    model: swapModel,
    deadlineMs: 10_000,
    trapShare: 0.3,
  });
  try {
    for (const { version, factor } of good) await load.addVersion(version, factor);
    return await run(context, size, { client, cluster, host, load, signal: context.signal }, good);
  } finally {
    load.kill();
  }
};

async function run(
  { progress }: DrillContext,
  size: Size,
  ground: SwapGround,
  good: readonly { readonly version: number }[],
) {
  const { host, load, signal } = ground;
  const faults: string[] = [];
  const rates: number[] = [];
  const setPace = async (measureMs: number) => rates.push(await paceAtHalf(load, measureMs, size.rateLimit));
  await progress.step('Measuring what the cluster can', async () => {
    await load.measureCapacity(64, size.capacityMs / 2);
    await setPace(size.capacityMs);
  });

  /** Without load: under it, what a runner has not collected yet comes and goes by more than the tolerance. */
  const memoryAtRest = async () => {
    await load.pace(0);
    await pause(size.restMs, signal);
    return memoryOf(host);
  };
  const spans: Span[] = [];
  let firstMemory = 0;
  await progress.step('Swapping good versions', async (update) => {
    let calmMs = 1_500;
    for (let swap = 1; swap <= size.swaps; swap += 1) {
      await pause(calmMs, signal);
      const span = await swapTo(ground, good[swap % 2]?.version ?? 0, faults);
      spans.push(span);
      calmMs = span.endMs - span.startMs;
      update(`Swapping good versions: ${swap} of ${size.swaps}, ${Math.round(calmMs)} ms each`);
      if (swap === size.settleSwaps) {
        firstMemory = await memoryAtRest();
      }
      if (swap === size.settleSwaps || swap % size.block === 0) {
        await setPace(size.capacityMs / 4);
        calmMs += 1_500;
      }
    }
  });
  const lastMemory = await memoryAtRest();
  await setPace(size.capacityMs / 4);

  const outcomes: BadOutcome[] = [];
  await progress.step('Putting bad versions forward', async (update) => {
    for (let turn = 0; turn < size.bad; turn += 1) {
      const kind = badKinds[turn % badKinds.length] as BadKind;
      update(`Putting bad versions forward: ${turn + 1} of ${size.bad}, ${kind.name}`);
      const startMs = monotonicMs();
      const { wanted, got } = await putForward(ground, kind, turn, badBakeMs);
      outcomes.push({ name: kind.name, wanted, got, span: { startMs, endMs: monotonicMs() } });
      if (!wanted.includes(got)) faults.push(`${kind.name} ended as ${got}, not as ${wanted.join(' or ')}`);
      try {
        await onlyWorkerLeft(ground.client, signal);
      } catch (error) {
        // The figures so far are worth more than the rest of the drill.
        const workers = (await ground.client.workers()).map(({ version, state, reason }) => ({
          version,
          state,
          reason,
        }));
        faults.push(`after ${kind.name}: ${String(error)}: ${JSON.stringify(workers)}`);
        break;
      }
      await pause(300, signal);
    }
  });
  await load.pace(0);
  const results = await progress.step('Waiting for the last answers', () => load.end());

  for (const what of ['failed', 'wrong', 'lost'] as const) {
    if (results[what] > 0)
      faults.push(`${results[what]} requests ${what}: ${results.faults.slice(0, 5).join('; ')}`);
  }
  const latency = compareLatency(results, spans, size.block);
  if (latency.ratio > latencyFactor) {
    faults.push(`p99 during good swaps is ${latency.ratio.toFixed(2)} times that just before`);
  }
  const growth = lastMemory / firstMemory - 1;
  if (Math.abs(growth) > memoryTolerance) {
    faults.push(`memory went from ${mebibytes(firstMemory)} to ${mebibytes(lastMemory)} MiB`);
  }
  return {
    faults,
    figures: {
      requests: results.count,
      failed: results.failed,
      wrong: results.wrong,
      lost: results.lost,
      degraded: results.degraded,
      rate_per_s: median(rates),
      rates_per_s: rates,
      swaps: spans.length,
      bake_ms: bakeMs,
      swap_ms_median: Math.round(median(spans.map(({ startMs, endMs }) => endMs - startMs))),
      p99_ratio_during_swaps: round(latency.ratio),
      p99_ratios_by_block: latency.ratios.map(round),
      p99_ms_during_swaps: round(latency.duringMs),
      p99_ms_before_swaps: round(latency.beforeMs),
      memory_mib_after_first_swaps: mebibytes(firstMemory),
      memory_mib_at_the_end: mebibytes(lastMemory),
      bad: tabulate(outcomes, results),
    },
  };
}

/** Rolls the version out and waits until it is promoted and the other one's worker has gone. */
async function swapTo({ client, signal }: SwapGround, version: number, faults: string[]): Promise<Span> {
  const startMs = monotonicMs();
  await client.startRollout(swapModel, version, { bakeMs });
  const rollout = await rolloutEnded(client, signal);
  if (rollout.phase !== 'promoted') {
    faults.push(`a good swap to version ${version} ended ${rollout.phase}: ${rollout.cause?.text ?? ''}`);
  }
  await onlyWorkerLeft(client, signal);
  return { startMs, endMs: monotonicMs() };
}

interface BadOutcome {
  readonly name: string;
  readonly wanted: readonly string[];
  readonly got: string;
  readonly span: Span;
}

/** One row for each kind: how often, how it ended, p99 and degraded answers meanwhile. */
function tabulate(outcomes: readonly BadOutcome[], results: LoadResults) {
  return Object.fromEntries(
    [...new Set(outcomes.map(({ name }) => name))].map((name) => {
      const same = outcomes.filter((one) => one.name === name);
      const open = same.flatMap(({ span }) => openBetween(results, span));
      return [
        name,
        {
          times: same.length,
          ended: [...new Set(same.map(({ got }) => got))],
          p99_ms: round(
            percentile(
              open.map((at) => latencyOf(results, at)),
              0.99,
            ),
          ),
          seconds: round(median(same.map(({ span }) => (span.endMs - span.startMs) / 1_000))),
        },
      ];
    }),
  );
}

function latencyOf({ startMs, endMs }: LoadResults, at: number): number {
  return (endMs[at] ?? 0) - (startMs[at] ?? 0);
}

/** p99 of the requests open during the swaps against that of as many just before, block by block. */
function compareLatency(results: LoadResults, spans: readonly Span[], blockSize: number) {
  const latencies = (indices: readonly number[]) => indices.map((at) => latencyOf(results, at));
  const pairs = spans.map((span) => {
    const during = openBetween(results, span);
    return { during: latencies(during), before: latencies(justBefore(results, span, during.length)) };
  });
  const p99 = (of: readonly (typeof pairs)[number][], which: 'during' | 'before') =>
    percentile(
      of.flatMap((pair) => pair[which]),
      0.99,
    );
  const blocks = Array.from({ length: Math.ceil(pairs.length / blockSize) }, (_, index) =>
    pairs.slice(index * blockSize, (index + 1) * blockSize),
  );
  const ratios = blocks.map((block) => p99(block, 'during') / p99(block, 'before'));
  return {
    ratios,
    ratio: median(ratios),
    duringMs: p99(pairs, 'during'),
    beforeMs: p99(pairs, 'before'),
  };
}

/** Summed proportional set size of the host and its runners, in bytes. */
function memoryOf(host: ClusterHost): number {
  return [host.pid, ...host.runnerPids()].reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

const round = (value: number) => Math.round(value * 100) / 100;
const mebibytes = (bytes: number) => Math.round(bytes / 1024 ** 2);

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(new Error('stopped'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
