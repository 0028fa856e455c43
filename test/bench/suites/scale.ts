/**
 * What grows with the cluster: throughput with workers, and the cost of control with hosts and models, on real servers. The
 * hosts of the second part are leases alone; coordinator, NATS, Redis and the clients' views are as they are.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { connectNats, createRoutingPublisher } from '@troupe/shared/nats';
import { connectRedis, createRedisLeaseStore, createRedisRegistryStore } from '@troupe/shared/redis';
import { plan } from '../../../packages/coordinator/src/control/plan.js';
import { startCluster, type TestCluster } from '../../harness/cluster.js';
import { waitUntil } from '../../harness/wait-until.js';
import { modelSources } from '../bench-model.js';
import { type Child, startChild } from '../child.js';
import { quantile } from '../closed-loop.js';
import type { Contestant } from '../contestants/contestant.js';
import { startTroupe } from '../contestants/troupe.js';
import {
  compareAll,
  figure,
  median,
  medianTable,
  ratioTable,
  type Table,
  throughputChart,
} from '../outcome.js';
import { processorMs } from '../process-figures.js';
import type { ClientsOrder } from '../servers/route-clients.js';
import type { HostsFigures, HostsOrder } from '../servers/simulated-hosts.js';
import { measureModels } from './measure-models.js';
import { type OpenStage, type Suite, type SuiteContext, withStage } from './suite.js';

const workersPerHost = 4;
/** Hosts and models; the last is the size that the costs are held to. */
const sizes = [
  [250, 125],
  [500, 250],
  [1_000, 500],
] as const;
const clients = 1_000;
const updateCount = 10;
const routedLimitMs = 60_000;

/** What the control plane took at one size, each second. */
interface ControlSample {
  readonly hosts: number;
  readonly models: number;
  /** Processor time, in milliseconds a second. */
  readonly coordinatorMs: number;
  readonly redisMs: number;
  readonly natsMs: number;
  readonly redisCommands: number;
  readonly redisBytesIn: number;
  readonly redisBytesOut: number;
  readonly renewals: number;
  readonly fenced: number;
  /** Commands to hosts, of which none is wanted. */
  readonly commands: number;
  /** One read of all leases, in milliseconds (median). */
  readonly listHostsMs: number;
  /** One plan, in milliseconds (median). */
  readonly planMs: number;
}

/** What the clients saw. */
interface Updates {
  /** Until all had read the whole table. */
  readonly openedMs: number;
  /** For each update, the delay of each client, in milliseconds. */
  readonly delays: readonly (readonly number[])[];
}

export const scale: Suite = {
  name: 'scale',
  text: 'workers by cores; a control plane with 1,000 simulated hosts and 500 models, and 1,000 clients',
  seconds: 150,
  async run(context) {
    const counts = Array.from({ length: Math.min(8, availableParallelism()) }, (_, index) => index + 1);
    // One worker is a contestant of every suite: the short form is for the control plane.
    const samples = await measureModels(context, {
      models: modelSources(context.short ? [] : ['rank']),
      contestantsOf: () => counts.map(workersContestant),
      inFlight: [64],
      rounds: 3,
      windowMs: 2_000,
    });
    const rows = compareAll(
      samples,
      counts.slice(1).map((count) => ({
        suite: 'scale',
        model: 'rank',
        contestant: `workers-${count}`,
        against: 'workers-1',
        inFlight: 64,
        metric: 'throughput' as const,
      })),
    );
    const control: ControlSample[] = [];
    let updates: Updates | undefined;
    const wanted = context.short ? ([[10, 5]] as const) : sizes;
    for (const [hosts, models] of wanted) {
      const last = hosts === wanted.at(-1)?.[0];
      await withStage(context, [], async (stage) => {
        control.push(
          await measureControl(context, stage, hosts, models, async (cluster) => {
            if (last) updates = await measureUpdates(context, stage, cluster, models);
          }),
        );
      });
    }
    return {
      rows,
      samples: [...samples, ...control, { updates }],
      tables: [
        medianTable('Workers', samples),
        ratioTable('Workers beside one', rows),
        controlTable(control),
        growthTable(control),
        updateTable(updates),
      ],
      charts: [
        ...throughputChart('scale', '64 in flight', samples, 64),
        {
          name: 'scale-control',
          title: 'Control plane: processor time',
          unit: 'ms a second',
          labels: control.map(({ hosts, models }) => `${hosts} hosts, ${models} models`),
          series: [
            { name: 'coordinator', values: control.map(({ coordinatorMs }) => coordinatorMs) },
            { name: 'redis-server', values: control.map(({ redisMs }) => redisMs) },
            { name: 'nats-server', values: control.map(({ natsMs }) => natsMs) },
          ],
        },
      ],
    };
  },
};

function workersContestant(count: number): Contestant {
  return {
    name: `workers-${count}`,
    why: `${count} of the host's devices, one worker each.`,
    start: (stage) => startTroupe('sdk', stage, { suffix: `-by-${count}`, replicas: count }),
  };
}

/** Runs a control plane of this size; `meanwhile` is called once its cost was measured. */
async function measureControl(
  { progress, short, windowMs = short ? 1_000 : 6_000 }: SuiteContext,
  stage: OpenStage,
  hosts: number,
  models: number,
  meanwhile: (cluster: TestCluster) => Promise<void>,
): Promise<ControlSample> {
  const cluster = stage.own(await startCluster({ hosts: 0, coordinators: 0 }));
  const { natsUrl, redisUrl, namespace } = cluster;
  const simulated = stage.own(await startChild<HostsOrder, HostsFigures>('./servers/simulated-hosts.ts'));
  const title = `${hosts} hosts, ${models} models`;
  await progress.step(`${title}: registering`, () =>
    simulated.call({ kind: 'start', natsUrl, redisUrl, namespace, hosts, models, workersPerHost }),
  );
  const coordinator = await cluster.startCoordinator();
  const link = await connectNats({ servers: natsUrl, name: 'bench', namespace });
  stage.own({ stop: () => link.close() });
  const publisher = createRoutingPublisher(link);
  const redis = await connectRedis({ url: redisUrl, namespace, commandTimeoutMs: 10_000 });
  const [leases, registry] = [createRedisLeaseStore(redis), createRedisRegistryStore(redis)];
  stage.own({ stop: () => Promise.all([leases.close(), registry.close()]) });
  const routes = await progress.step(`${title}: until every model is routed to all its workers`, () =>
    waitUntil(
      'every model is routed',
      async () => {
        const entries = await publisher.readAll();
        const full = entries.filter(({ versions }) => {
          const version = versions['1'];
          return version?.state === 'ready' && version.serving === version.wanted;
        });
        return full.length === models && entries;
      },
      { timeoutMs: routedLimitMs, everyMs: 500 },
    ).catch((error: unknown) => {
      throw new Error(`${title}: not routed\n${cluster.logs()}`, { cause: error });
    }),
  );
  const read = async () => {
    const stats = String(await redis.read('INFO', 'stats'));
    const field = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(stats)?.[1]);
    return {
      atMs: performance.now(),
      coordinatorMs: processorMs(coordinator.pid),
      redisMs: processorMs(cluster.redis.pid),
      natsMs: processorMs(cluster.nats.pid),
      redisCommands: field('total_commands_processed'),
      redisBytesIn: field('total_net_input_bytes'),
      redisBytesOut: field('total_net_output_bytes'),
      ...(await simulated.call({ kind: 'figures' })),
    };
  };
  const before = await read();
  await progress.step(`${title}: at rest`, () => pause(windowMs));
  const after = await read();
  const perSecond = (name: Exclude<keyof typeof before, 'atMs'>) =>
    ((after[name] - before[name]) * 1_000) / (after.atMs - before.atMs);

  const desired = await registry.read();
  const [listTimes, planTimes]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < 10; turn += 1) {
    const startedMs = performance.now();
    const observed = await leases.listHosts();
    const readMs = performance.now();
    const made = plan(
      desired,
      { hosts: observed },
      {
        epoch: 1,
        credits: 128,
        previousRoutes: new Map(routes.map((route) => [route.model, route])),
        refused: new Set(),
        cutOff: new Set(),
        recentlyServing: new Set(),
        retired: new Set(),
      },
    );
    if (made.commands.length > 0) throw new Error(`a settled cluster gets ${made.commands.length} commands`);
    listTimes.push(readMs - startedMs);
    planTimes.push(performance.now() - readMs);
  }
  await meanwhile(cluster);
  return {
    hosts,
    models,
    coordinatorMs: perSecond('coordinatorMs'),
    redisMs: perSecond('redisMs'),
    natsMs: perSecond('natsMs'),
    redisCommands: perSecond('redisCommands'),
    redisBytesIn: perSecond('redisBytesIn'),
    redisBytesOut: perSecond('redisBytesOut'),
    renewals: perSecond('renewals'),
    fenced: after.fenced,
    commands: after.commands - before.commands,
    listHostsMs: median(listTimes),
    planMs: median(planTimes),
  };
}

/** From the call that moves a label to each client's knowing it: one list of delays for each update. */
async function measureUpdates(
  { progress, short }: SuiteContext,
  stage: OpenStage,
  cluster: TestCluster,
  models: number,
): Promise<Updates> {
  const processes = short ? 1 : 2;
  const count = (short ? 10 : clients) / processes;
  const { natsUrl, namespace } = cluster;
  const children: Child<ClientsOrder, number[]>[] = [];
  for (let index = 0; index < processes; index += 1) {
    children.push(stage.own(await startChild<ClientsOrder, number[]>('./servers/route-clients.ts')));
  }
  const openingMs = performance.now();
  await progress.step(`Opening ${count * processes} clients`, () =>
    Promise.all(children.map((child) => child.call({ kind: 'open', natsUrl, namespace, count }))),
  );
  const openedMs = performance.now() - openingMs;
  const admin = await cluster.connect();
  const delays: number[][] = [];
  await progress.step('Moving labels', async () => {
    for (let turn = 0; turn < (short ? 2 : updateCount); turn += 1) {
      const [model, label] = [`model-${turn % models}`, `bench-${turn}`];
      const known = children.map((child) => child.call({ kind: 'await', model, label }));
      const movedAtMs = Number(process.hrtime.bigint()) / 1e6;
      await admin.label(model, label, 1);
      delays.push((await Promise.all(known)).flat().map((atMs) => atMs - movedAtMs));
    }
  });
  return { openedMs, delays };
}

function controlTable(samples: readonly ControlSample[]): Table {
  return {
    title: 'Control plane at rest, each second',
    head: [
      'hosts',
      'models',
      'coordinator, ms of processor',
      'redis, ms',
      'nats, ms',
      'redis commands',
      'redis kB in',
      'redis kB out',
      'renewals',
      'commands to hosts',
      'one read of the leases, ms',
      'one plan, ms',
    ],
    rows: samples.map((one) => [
      String(one.hosts),
      String(one.models),
      ...[one.coordinatorMs, one.redisMs, one.natsMs, one.redisCommands].map(figure),
      figure(one.redisBytesIn / 1_000),
      figure(one.redisBytesOut / 1_000),
      figure(one.renewals),
      String(one.commands),
      figure(one.listHostsMs),
      figure(one.planMs),
    ]),
  };
}

/** Twice as much for twice as many is linear; a tenth more is noise. */
const linearBound = 2.2;

function growthTable(samples: readonly ControlSample[]): Table {
  const costs = {
    'coordinator, processor': 'coordinatorMs',
    'redis, processor': 'redisMs',
    'redis commands': 'redisCommands',
    'redis bytes in': 'redisBytesIn',
    'redis bytes out': 'redisBytesOut',
    'one read of the leases': 'listHostsMs',
    'one plan': 'planMs',
  } as const;
  const [half, full] = samples.slice(-2);
  return {
    title: `Growth from half of the hosts and models to all (wanted: linear, at most ${linearBound} ×)`,
    head: ['cost', 'growth', ''],
    rows:
      half === undefined || full === undefined
        ? []
        : Object.entries(costs).map(([text, name]) => {
            const growth = full[name] / half[name];
            return [text, `${figure(growth)} ×`, growth <= linearBound ? 'reached' : 'missed'];
          }),
  };
}

function updateTable({ openedMs, delays }: Updates = { openedMs: Number.NaN, delays: [] }): Table {
  const all = delays.flat().sort((a, b) => a - b);
  return {
    title: 'A label moved, from the call until a client knows, ms',
    head: ['clients', 'all opened in, s', 'updates', 'p50', 'p99', 'last'],
    rows: [
      [
        String(delays[0]?.length ?? 0),
        figure(openedMs / 1_000),
        String(delays.length),
        ...[0.5, 0.99, 1].map((part) => figure(quantile(all, part))),
      ],
    ],
  };
}
