/**
 * `npm run drill -- rollback`: a tiny model under steady load at half of what the cluster can, taken back again and again:
 * in turn because its runner dies (the host decides) and because an admin says so (the leader decides). Measured is the
 * time from the verdict to the standby's first answer, both stamped by the host on the machine's monotonic clock. The
 * promise: p99 below 5 ms where the host decides itself, and no request fails.
 */
import type { TroupeEvent } from '@troupe/client';
import { sendSignal } from '../../deploy/local/processes.mjs';
import { waitUntil } from '../harness/wait-until.js';
import { affineModel } from './affine-models.js';
import type { Drill, DrillContext } from './drill.js';
import { type LoadResults, monotonicMs, startSteadyLoad } from './steady-load.js';
import { onlyWorkerLeft, paceAtHalf, rolloutEnded, type SwapGround, swapModel } from './swap-ground.js';
import { median, percentile } from './windows.js';

interface Size {
  readonly rollbacks: number;
  readonly coldRollbacks: number;
  readonly capacityMs: number;
  /** Requests a second, at most: half of what the cluster could a moment ago may be more than it can now. */
  readonly rateLimit: number;
}

const full: Size = {
  rollbacks: 300,
  coldRollbacks: 5,
  capacityMs: 4_000,
  rateLimit: Number.POSITIVE_INFINITY,
};
const short: Size = { rollbacks: 4, coldRollbacks: 1, capacityMs: 400, rateLimit: 200 };

/** Longer than any rollback takes. */
const bakeMs = 60_000;
const flipBoundMs = 5;
/** For an answer after a crash of both, in milliseconds. */
const coldLimitMs = 30_000;
/** Requests a second while nobody serves for seconds: they must find room in the queue (10,000). */
const coldRate = 1_000;
/** For a flip. By an admin's order there may be none, where the route left before anything was left to answer. */
const flipPatienceMs = { crash: 1_000, cold: 1_000, admin: 250 };
/** Rollbacks between two looks at what half of capacity is. */
const paceEvery = 50;
/** Of load on the new version before it is taken back. */
const servingMs = 100;

type Cause = 'crash' | 'admin' | 'cold';

/** One rollout and the way back, on the monotonic clock. */
interface Turn {
  readonly cause: Cause;
  readonly startMs: number;
  /** When its end was brought about. */
  readonly askedMs: number;
  readonly endMs: number;
}

/** One flip, from the events of the host. */
interface Flip {
  readonly by: string;
  readonly tookMs: number;
  /** When it was condemned, on the monotonic clock. */
  readonly condemnedMs: number;
}

export const rollbackDrill: Drill = async (context) => {
  const size = context.short ? short : full;
  const cluster = await context.startCluster({ devices: 'cpu:0', env: { TROUPE_ROUTE_GRACE_MS: '100' } });
  const client = await cluster.connect();
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error('the cluster has no host');
  const register = async (factor: number) => {
    const { version } = await client.registerModel({
      name: swapModel,
      bytes: affineModel(factor),
      replicas: 1,
    });
    return version;
  };
  const stable = await register(2);
  const candidate = await register(3);
  const load = await startSteadyLoad({
    servers: cluster.natsUrl,
    namespace: cluster.namespace,
    model: swapModel,
    deadlineMs: 10_000,
    trapShare: 0,
  });
  const flips: Flip[] = [];
  const stopWatching = client.onEvent((event) => flips.push(flipOf(event)), { kinds: ['worker.flipped'] });
  try {
    await load.addVersion(stable, 2);
    await load.addVersion(candidate, 3);
    const ground = { client, cluster, host, load, signal: context.signal };
    return await run(context, size, ground, candidate, flips);
  } finally {
    stopWatching();
    load.kill();
  }
};

async function run(
  { progress }: DrillContext,
  size: Size,
  ground: SwapGround,
  candidate: number,
  flips: readonly Flip[],
) {
  const { load } = ground;
  const faults: string[] = [];
  await load.measureCapacity(64, size.capacityMs / 2);
  const rates = [await paceAtHalf(load, size.capacityMs, size.rateLimit)];
  const turns: Turn[] = [];
  const byHost: number[] = [];
  const byLeader: number[] = [];
  const orderMs: number[] = [];
  await progress.step('Rolling back', async (update) => {
    for (let turn = 0; turn < size.rollbacks; turn += 1) {
      const cause = turn % 2 === 0 ? 'crash' : 'admin';
      const startMs = monotonicMs();
      const { flip, askedMs } = await takeBack(ground, candidate, cause, flips, faults);
      turns.push({ cause, startMs, askedMs, endMs: monotonicMs() });
      if (flip !== undefined) {
        (cause === 'crash' ? byHost : byLeader).push(flip.tookMs);
        if (cause === 'admin') orderMs.push(flip.condemnedMs - askedMs);
      }
      if ((turn + 1) % paceEvery === 0)
        rates.push(await paceAtHalf(load, size.capacityMs / 4, size.rateLimit));
      update(`Rolling back: ${turn + 1} of ${size.rollbacks}`);
    }
  });
  const cold: { readonly by: string; readonly ms: number }[] = [];
  await progress.step('Rolling back to a cold snapshot', async () => {
    await load.pace(Math.min(...rates, coldRate));
    for (let turn = 0; turn < size.coldRollbacks; turn += 1) {
      const { flip, answeredMs } = await takeBack(ground, candidate, 'cold', flips, faults);
      // Where the route has left it before anybody covered, callers are answered by the version that it leads to.
      cold.push(
        flip === undefined ? { by: 'route', ms: round(answeredMs) } : { by: flip.by, ms: round(flip.tookMs) },
      );
    }
  });
  await load.pace(0);
  const results = await load.end();
  for (const what of ['failed', 'wrong', 'lost'] as const) {
    if (results[what] > 0)
      faults.push(`${results[what]} requests ${what}: ${results.faults.slice(0, 5).join('; ')}`);
  }
  faults.push(...tellFailures(results, turns));
  // A short drill is slow on purpose: it may leave the standby nothing to answer.
  if (byHost.length < size.rollbacks / 2 && !Number.isFinite(size.rateLimit)) {
    faults.push(`only ${byHost.length} flips of ${size.rollbacks / 2} by crash were told of`);
  }
  const p99 = percentile(byHost, 0.99);
  if (p99 >= flipBoundMs) faults.push(`p99 of the host's own flips is ${round(p99)} ms`);
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
      by_crash: spread(byHost),
      by_admin: spread(byLeader),
      order_ms: spread(orderMs),
      cold_ms: cold,
    },
  };
}

/** One rollout and its end; resolves when the stable version's worker is the only one. */
async function takeBack(
  { client, host, signal }: SwapGround,
  candidate: number,
  cause: Cause,
  flips: readonly Flip[],
  faults: string[],
): Promise<{ readonly flip: Flip | undefined; readonly askedMs: number; readonly answeredMs: number }> {
  const seen = flips.length;
  const stableRunners = host.runnerPids();
  await client.retryModel(swapModel, candidate);
  await client.startRollout(swapModel, candidate, { bakeMs, maxCrashes: 0 });
  await waitUntil(
    'the new version bakes',
    async () => {
      signal.throwIfAborted();
      return (await client.rollout(swapModel)).rollout?.phase === 'baking';
    },
    { timeoutMs: 30_000 },
  );
  await new Promise((resolve) => setTimeout(resolve, servingMs));
  const askedMs = monotonicMs();
  if (cause === 'admin') {
    await client.rollback(swapModel);
  } else {
    const fresh = host.runnerPids().filter((pid) => !stableRunners.includes(pid));
    if (cause === 'cold') for (const pid of stableRunners) sendSignal(pid, 'SIGKILL');
    for (const pid of fresh) sendSignal(pid, 'SIGKILL');
  }
  if (cause === 'cold') await client.infer(swapModel, [[1, 1, 1, 1]], { deadlineMs: coldLimitMs });
  const answeredMs = monotonicMs() - askedMs;
  // Who asks how it stands takes the processor from who flips.
  if (cause !== 'crash') await rolloutEnded(client, signal);
  const flip = await flipAfter(seen, flips, flipPatienceMs[cause]);
  const rollout = await rolloutEnded(client, signal);
  const wanted = cause === 'admin' ? 'admin' : 'crash';
  if (rollout.phase !== 'rolled_back' || rollout.cause?.kind !== wanted) {
    faults.push(
      `a rollback by ${cause} ended as ${rollout.phase}, ${rollout.cause?.kind ?? 'without a cause'}`,
    );
  }
  await onlyWorkerLeft(client, signal);
  return { flip, askedMs, answeredMs };
}

/** In which turns requests failed, and when after the verdict was asked for. */
function tellFailures({ count, outcomes, startMs }: LoadResults, turns: readonly Turn[]): string[] {
  const failed = turns.map((): number[] => []);
  let index = 0;
  for (let at = 0; at < count; at += 1) {
    const asked = startMs[at] ?? 0;
    while (asked >= (turns[index]?.endMs ?? Number.POSITIVE_INFINITY)) index += 1;
    const turn = turns[index];
    if (turn !== undefined && outcomes[at] === 3 && asked >= turn.startMs) {
      failed[index]?.push(asked - turn.askedMs);
    }
  }
  return turns.flatMap(({ cause }, which) => {
    const times = failed[which] ?? [];
    if (times.length === 0) return [];
    const [first, last] = [times[0] ?? 0, times.at(-1) ?? 0].map(Math.round);
    return [
      `${times.length} failed in rollback ${which + 1}, by ${cause}, ${first} to ${last} ms after it was asked for`,
    ];
  });
}

/** The flip that follows; the route may be another before anything was left for the standby to answer. */
async function flipAfter(seen: number, flips: readonly Flip[], timeoutMs: number): Promise<Flip | undefined> {
  try {
    return await waitUntil('the standby has answered', () => flips[seen], { timeoutMs });
  } catch {
    return undefined;
  }
}

function flipOf({ data }: TroupeEvent): Flip {
  const condemnedMs = Number(data.condemnedNs) / 1e6;
  return { by: String(data.by), condemnedMs, tookMs: Number(data.answeredNs) / 1e6 - condemnedMs };
}

function spread(values: readonly number[]) {
  return {
    times: values.length,
    p50_ms: round(median(values)),
    p99_ms: round(percentile(values, 0.99)),
    max_ms: round(percentile(values, 1)),
  };
}

const round = (value: number) => Math.round(value * 100) / 100;
