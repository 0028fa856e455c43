/**
 * `npm run drill -- residency`: what it costs to have models in memory on demand. First a table of the same models always
 * resident, on demand and prefetched, the latter two under a budget that holds a quarter of them; then random requests to
 * many registered models. The promise: every request is answered rightly, and the summed proportional set size of the
 * runners never passes the budget.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Residency, TroupeClient } from '@troupe/client';
import { SeededRandom } from '@troupe/shared/onnx';
import type { ClusterHost, TestCluster } from '../harness/cluster.js';
import { expectedProbabilities, readFlowers } from '../harness/iris-load.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { waitUntil } from '../harness/wait-until.js';
import { midMlp, tinyMlp } from '../models/dense-models.js';
import { floats, withSession } from '../models/onnx-session.js';
import type { Drill, DrillContext } from './drill.js';
import { type MemorySampler, startMemorySampler } from './memory-sampler.js';

interface Size {
  /** Models of the table, and how many of them the budget holds. */
  readonly models: number;
  readonly held: number;
  /** Requests to one resident model, one after the other. */
  readonly steady: number;
  readonly soakModels: number;
  readonly soakMs: number;
}

const full: Size = { models: 20, held: 5, steady: 300, soakModels: 1_000, soakMs: 180_000 };
const short: Size = { models: 3, held: 2, steady: 10, soakModels: 12, soakMs: 3_000 };

/** Loading waits for the processor; no request of this drill may fail for want of time. */
const deadlineMs = 60_000;
/** Requests open at once in the soak. */
const lanes = 4;
const mebibyte = 1024 ** 2;

/** One model of the table: a file of its own, and what it answers. */
interface TableModel {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly expected: Float32Array;
}

/** What came of the requests so far. */
interface Tally {
  requests: number;
  failed: number;
  wrong: number;
  readonly faults: string[];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function percentile(values: readonly number[], ratio: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0);
}

/** Asks once; resolves with how long it took. What is wrong goes to the tally. */
async function ask(
  client: TroupeClient,
  tally: Tally,
  model: string,
  input: Float32Array,
  expected: Float32Array,
): Promise<number> {
  const startedMs = performance.now();
  tally.requests += 1;
  try {
    const { outputs } = await client.infer(model, input, { deadlineMs });
    const [first] = Object.values(outputs).filter(({ data }) => data instanceof Float32Array);
    const got = first?.data as Float32Array | undefined;
    const right =
      got?.length === expected.length &&
      expected.every((value, at) => Math.abs(value - (got[at] ?? NaN)) <= 1e-4);
    if (!right) {
      tally.wrong += 1;
      tally.faults.push(`${model} answered wrongly`);
    }
  } catch (error) {
    tally.failed += 1;
    tally.faults.push(`${model}: ${String(error)}`);
  }
  return performance.now() - startedMs;
}

/** Registers all, some at a time. */
async function registerAll(
  client: TroupeClient,
  models: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  residency: Residency,
  atOnce: number,
  signal: AbortSignal,
): Promise<void> {
  const waiting = [...models];
  const lane = async () => {
    for (let model = waiting.shift(); model !== undefined; model = waiting.shift()) {
      signal.throwIfAborted();
      await client.registerModel({ name: model.name, bytes: model.bytes, residency, replicas: 1 });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

async function makeModels(count: number, isShort: boolean): Promise<TableModel[]> {
  const models: TableModel[] = [];
  for (let index = 0; index < count; index += 1) {
    const bytes = isShort ? tinyMlp(index + 1) : midMlp(index + 1);
    const input = inputOf(isShort);
    const expected = await withSession(bytes, async (session) => {
      const { output } = await session.run({ input: floats([...input], [1, input.length]) });
      return Float32Array.from(output?.data as Float32Array);
    });
    models.push({ name: `table-${index}`, bytes, expected });
  }
  return models;
}

function inputOf(isShort: boolean): Float32Array {
  return Float32Array.from({ length: isShort ? 4 : 512 }, (_, index) => (index % 7) / 7);
}

function runnersOf(cluster: TestCluster): () => number[] {
  return () => cluster.hosts.flatMap((host) => (host.alive ? host.runnerPids() : []));
}

/** Peak of the runners' memory over some work. */
async function whileSampling<T>(
  cluster: TestCluster,
  work: (sampler: MemorySampler) => Promise<T>,
): Promise<{ readonly value: T; readonly peakMiB: number; readonly samples: number }> {
  const sampler = startMemorySampler(runnersOf(cluster));
  try {
    const value = await work(sampler);
    sampler.stop();
    return { value, peakMiB: round(sampler.peakBytes / mebibyte), samples: sampler.samples };
  } finally {
    sampler.stop();
  }
}

/** Artifacts in the store of a host. */
function storedFiles({ dataDir }: ClusterHost): number {
  return readdirSync(join(dataDir, 'blobs/sha256')).filter((name) => /^[0-9a-f]{64}$/.test(name)).length;
}

interface Row {
  readonly residency: string;
  readonly peakMiB: number;
  /** From sending to the first answer of a model, over all models. */
  readonly firstAnswerP50Ms: number;
  readonly firstAnswerMaxMs: number;
  /** One request at a time to a model that is in memory. */
  readonly steadyP50Ms: number;
}

/** One row: a host of its own, without a file yet, serves the models that are registered. */
async function measureRow(
  context: DrillContext,
  cluster: TestCluster,
  client: TroupeClient,
  size: Size,
  models: readonly TableModel[],
  residency: Residency,
  budgetBytes: number | undefined,
  tally: Tally,
): Promise<{ readonly row: Row; readonly chargedBytes: number }> {
  for (const { name } of models) await client.setResidency(name, residency);
  const host = await cluster.startHost({
    name: `host-${residency}`,
    slots: 2 * size.models,
    ...(budgetBytes === undefined ? {} : { env: { TROUPE_MEMORY_BUDGET: String(budgetBytes) } }),
  });
  const isReady = async () => {
    const versions = (await client.models()).flatMap((model) => model.versions);
    // What was asked for last may be on its way again: the leader had not heard of its answers when its host went.
    const wanted = residency === 'always' ? ['ready'] : ['cold', 'ready'];
    if (!versions.every(({ state }) => wanted.includes(state))) return false;
    return residency !== 'prefetched' || storedFiles(host) === models.length;
  };
  await waitUntil('the host has what it is to have', isReady, { timeoutMs: 120_000, everyMs: 250 });
  const input = inputOf(context.short);
  const first: number[] = [];
  const steady: number[] = [];
  const { peakMiB } = await whileSampling(cluster, async () => {
    for (const { name, expected } of models) {
      context.signal.throwIfAborted();
      first.push(await ask(client, tally, name, input, expected));
    }
    const last = models.at(-1);
    for (let count = 0; last !== undefined && count < size.steady; count += 1) {
      steady.push(await ask(client, tally, last.name, input, last.expected));
    }
  });
  const charged = (await client.workers()).map((worker) => worker.memoryChargedBytes ?? 0);
  if (budgetBytes !== undefined && peakMiB * mebibyte > budgetBytes) {
    const budgetMiB = round(budgetBytes / mebibyte);
    tally.faults.push(`${residency}: ${peakMiB} MiB at the peak, the budget is ${budgetMiB}`);
  }
  await host.stop();
  return {
    row: {
      residency,
      peakMiB,
      firstAnswerP50Ms: percentile(first, 0.5),
      firstAnswerMaxMs: percentile(first, 1),
      steadyP50Ms: percentile(steady, 0.5),
    },
    chargedBytes: Math.max(...charged),
  };
}

/** The three rows, and the budget of the latter two. */
async function measureTable(
  context: DrillContext,
  size: Size,
  tally: Tally,
): Promise<{ readonly rows: readonly Row[]; readonly budgetBytes: number }> {
  const { progress, signal } = context;
  const models = await progress.step(`Making ${size.models} models`, () =>
    makeModels(size.models, context.short),
  );
  const cluster = await context.startCluster({ devices: 'cpu:0', hosts: 0 });
  const client = await cluster.connect();
  const trier = await cluster.startHost({ name: 'trier' });
  await progress.step(`Registering ${size.models} models`, () =>
    registerAll(client, models, 'on_demand', 2, signal),
  );
  await trier.stop();
  const measure = (residency: Residency, budgetBytes?: number) =>
    progress.step(`${size.models} models, ${residency.replace('_', ' ')}`, () =>
      measureRow(context, cluster, client, size, models, residency, budgetBytes, tally),
    );
  const always = await measure('always');
  const budgetBytes = Math.floor((size.held + 0.5) * always.chargedBytes);
  const onDemand = await measure('on_demand', budgetBytes);
  const prefetched = await measure('prefetched', budgetBytes);
  await cluster.stop();
  return { rows: [always.row, onDemand.row, prefetched.row], budgetBytes };
}

interface Soak {
  readonly registered: number;
  readonly registerMs: number;
  readonly budgetMiB: number;
  readonly peakMiB: number;
  readonly samples: number;
  readonly seconds: number;
  /** Times that a model came into memory. */
  readonly loads: number;
  /** Over all requests, those that had to wait for a load included. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What a small model counts with on a quiet machine, and some room: the budget holds so many and not one more. */
const smallModelBytes = 104 * mebibyte;

/** Random requests to many names of one file, half of them to a few favourites that change. */
async function soak(context: DrillContext, size: Size, tally: Tally): Promise<Soak> {
  const { progress, signal } = context;
  const budgetBytes = size.held * smallModelBytes;
  const cluster = await context.startCluster({
    devices: 'cpu:0',
    slots: size.soakModels,
    env: { TROUPE_MEMORY_BUDGET: String(budgetBytes) },
  });
  const client = await cluster.connect();
  const flowers = readFlowers();
  const expected = await expectedProbabilities(flowers);
  const bytes = readFileSync(join(repositoryRoot, 'deploy/models/iris/v1/model.onnx'));
  const names = Array.from({ length: size.soakModels }, (_, index) => `soak-${index}`);
  const registerStartMs = performance.now();
  await progress.step(`Registering ${names.length} models of one file`, () =>
    registerAll(
      client,
      names.map((name) => ({ name, bytes })),
      'on_demand',
      8,
      signal,
    ),
  );
  const registerMs = Math.round(performance.now() - registerStartMs);

  let loads = 0;
  const stopListening = client.onEvent(
    ({ data }) => {
      if (data.to === 'serving') loads += 1;
    },
    { kinds: ['worker.state'] },
  );
  const random = new SeededRandom(1);
  const pick = (count: number) => Math.floor(random.next() * count);
  const startedMs = performance.now();
  const times: number[] = [];
  const lane = async () => {
    for (;;) {
      const elapsedMs = performance.now() - startedMs;
      // On a busy machine it goes on until more was loaded than the budget holds: else it would have shown nothing.
      const enough = loads > size.held || elapsedMs > 20 * size.soakMs;
      if ((elapsedMs > size.soakMs && enough) || signal.aborted) return;
      const favourite = Math.floor(elapsedMs / 10_000) * 3 + pick(size.held);
      const name = names[pick(2) === 0 ? pick(names.length) : favourite % names.length] ?? '';
      const flower = pick(flowers.length);
      const input = new Float32Array(flowers[flower] ?? []);
      times.push(await ask(client, tally, name, input, expected[flower] ?? new Float32Array()));
    }
  };
  const { peakMiB, samples } = await progress.step('Asking at random', (update) =>
    whileSampling(cluster, async (sampler) => {
      const teller = setInterval(() => {
        const peak = round(sampler.peakBytes / mebibyte);
        update(`Asking at random: ${tally.requests} requests, ${loads} loads, ${peak} MiB at the peak`);
      }, 1_000);
      try {
        await Promise.all(Array.from({ length: lanes }, lane));
      } finally {
        clearInterval(teller);
      }
    }),
  );
  stopListening();
  if (peakMiB * mebibyte > budgetBytes) {
    tally.faults.push(`the soak took ${peakMiB} MiB, the budget is ${round(budgetBytes / mebibyte)}`);
  }
  await cluster.stop();
  return {
    registered: names.length,
    registerMs,
    budgetMiB: round(budgetBytes / mebibyte),
    peakMiB,
    samples,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
    loads,
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
  };
}

/** See the file's head. */
export const residencyDrill: Drill = async (context) => {
  const size = context.short ? short : full;
  const tally: Tally = { requests: 0, failed: 0, wrong: 0, faults: [] };
  const { budgetBytes, rows } = await measureTable(context, size, tally);
  const soaked = await soak(context, size, tally);
  const { faults, ...counts } = tally;
  return {
    faults,
    figures: {
      ...counts,
      models: size.models,
      held: size.held,
      budgetMiB: round(budgetBytes / mebibyte),
      table: rows,
      soak: soaked,
    },
  };
};
