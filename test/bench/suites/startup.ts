/** From the start of a process to its first answer, by model size: a host, and a runner. */

import { statSync } from 'node:fs';
import type { TroupeClient } from '@troupe/client';
import { type BenchModel, isAnswer, modelSources, readRows } from '../bench-model.js';
import { startBenchCluster } from '../contestants/troupe-cluster.js';
import { compareAll, figure, median, type Sample, type Table } from '../outcome.js';
import { intraOpThreads, type OpenStage, type Suite, withStage } from './suite.js';

/** What is started, by the name under which it is reported. */
const starts = {
  'host, model fetched': 'host process with an empty data folder, from its spawn',
  'host, model on disk': 'host process with the model in its data folder, from its spawn',
  runner: 'runner in place of one that was killed, from the kill',
} as const;
type Start = keyof typeof starts;

const answerLimitMs = 60_000;
const rounds = 3;

export const startup: Suite = {
  name: 'startup',
  text: 'process start to first answer, runner spawn to first answer, by model size',
  seconds: 60,
  async run(context) {
    const wanted = modelSources(
      context.models ?? (context.short ? ['tiny'] : ['tiny', 'mid', 'rank', 'cnn']),
    );
    const samples: Sample[] = [];
    const sizes = new Map<string, number>();
    await withStage(context, wanted, async (stage) => {
      for (const model of stage.models) {
        sizes.set(model.name, statSync(model.path).size);
        const note = (contestant: Start, round: number, ms: number) =>
          void samples.push(startSample(model.name, contestant, round, ms));
        await context.progress.step(`Starting processes for ${model.name}`, () =>
          measureModel(stage, model, context.rounds ?? (context.short ? 1 : rounds), note),
        );
      }
    });
    const against = 'host, model on disk' satisfies Start;
    const contestants = Object.keys(starts) as Start[];
    return {
      rows: compareAll(
        samples,
        wanted.flatMap(({ name: model }) =>
          contestants
            .filter((contestant) => contestant !== against)
            .map((contestant) => ({
              suite: 'startup',
              model,
              contestant,
              against,
              inFlight: 1,
              metric: 'p50' as const,
            })),
        ),
      ),
      samples,
      tables: [startTable(samples, sizes)],
      charts: [
        {
          name: 'startup',
          title: 'Start to first answer',
          unit: 'ms',
          labels: [...sizes.keys()],
          series: contestants.map((contestant) => ({
            name: contestant,
            values: [...sizes.keys()].map((model) => median(timesOf(samples, model, contestant))),
          })),
        },
      ],
    };
  },
};

/** A start as a sample: one answer, whose latency is the time from the start on. */
function startSample(model: string, contestant: Start, round: number, ms: number): Sample {
  return {
    model,
    contestant,
    inFlight: 1,
    round,
    answers: 1,
    checked: 1,
    elapsedMs: ms,
    throughput: 1_000 / ms,
    p50: ms,
    p99: ms,
    max: ms,
    cpuMs: 0,
  };
}

async function measureModel(
  stage: OpenStage,
  model: BenchModel,
  count: number,
  note: (contestant: Start, round: number, ms: number) => void,
): Promise<void> {
  const { cluster, serve, stop } = stage.own(await startBenchCluster(intraOpThreads));
  await serve({ model });
  const client = await cluster.connect();
  for (let round = 1; round <= count; round += 1) {
    const name = `fresh-${round}`;
    await cluster.hosts.at(-1)?.stop();
    note('host, model fetched', round, await untilAnswer(client, model, () => cluster.startHost({ name })));
    await cluster.hosts.at(-1)?.stop();
    note('host, model on disk', round, await untilAnswer(client, model, () => cluster.startHost({ name })));
    const [runner] = cluster.hosts.at(-1)?.runnerPids() ?? [];
    if (runner === undefined) throw new Error('the host has no runner');
    note('runner', round, await untilAnswer(client, model, async () => process.kill(runner, 'SIGKILL')));
  }
  await stop();
}

/** From the act on until a right answer: asked again at once where there is none to be had yet. */
async function untilAnswer(
  client: TroupeClient,
  model: BenchModel,
  act: () => Promise<unknown>,
): Promise<number> {
  const [row] = readRows(model.inputsPath, model.rowCount);
  const [expected] = readRows(model.expectedPath, model.rowCount);
  if (row === undefined || expected === undefined) throw new Error('a model without rows');
  const startedMs = performance.now();
  const acted = act();
  for (;;) {
    try {
      const { outputs } = await client.infer(model.name, row, { deadlineMs: answerLimitMs });
      const endedMs = performance.now();
      if (!isAnswer(outputs.output?.data as Float32Array, expected))
        throw new Error('the first answer is wrong');
      await acted;
      return endedMs - startedMs;
    } catch (error) {
      if (performance.now() - startedMs > answerLimitMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function timesOf(samples: readonly Sample[], model: string, contestant: string): number[] {
  return samples.filter((one) => one.model === model && one.contestant === contestant).map(({ p50 }) => p50);
}

function startTable(samples: readonly Sample[], sizes: ReadonlyMap<string, number>): Table {
  return {
    title: 'Start to first answer, ms (median, lowest–highest)',
    head: ['model', 'file', ...Object.keys(starts)],
    rows: [...sizes].map(([model, bytes]) => [
      model,
      `${figure(bytes / 1e6)} MB`,
      ...Object.keys(starts).map((contestant) => {
        const times = timesOf(samples, model, contestant);
        return `${figure(median(times))} (${figure(Math.min(...times))}–${figure(Math.max(...times))})`;
      }),
    ]),
  };
}
