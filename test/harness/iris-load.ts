/** A closed loop of iris requests through the client SDK, each answer compared with ONNX Runtime called directly. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import { floats, withSession } from '../models/onnx-session.js';
import { repositoryRoot } from './repository-root.js';

/** What came of one request. */
export interface LoadResult {
  readonly flower: number;
  /** Monotonic, in milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: 'right' | 'wrong' | 'error';
  readonly error?: unknown;
}

/** A running load. */
export interface IrisLoad {
  /** Results so far, in order of their ends. */
  readonly results: readonly LoadResult[];
  /** Requests that wait for their answer, by when they were sent. */
  openSince(): number[];
  /** Sends nothing more and resolves when everything is answered. */
  stop(): Promise<readonly LoadResult[]>;
}

const irisFolder = join(repositoryRoot, 'deploy/models/iris');

/** The 150 flowers: four measurements in centimetres each. */
export function readFlowers(): number[][] {
  const lines = readFileSync(join(irisFolder, 'iris.csv'), 'utf8').trim().split('\n');
  return lines
    .map((line) => line.split(',').slice(0, 4).map(Number))
    .filter((row) => row.length === 4 && row.every((value) => Number.isFinite(value)));
}

/** The probabilities of every flower by version 1, from ONNX Runtime itself. */
export async function expectedProbabilities(
  flowers: readonly number[][],
  version = 1,
): Promise<Float32Array[]> {
  return withSession(readFileSync(join(irisFolder, `v${version}/model.onnx`)), async (session) => {
    const answers: Float32Array[] = [];
    for (const flower of flowers) {
      const { probabilities } = await session.run({ input: floats(flower, [1, 4]) });
      answers.push(Float32Array.from(probabilities?.data as Float32Array));
    }
    return answers;
  });
}

/** Starts a load with `inFlight` requests open at once, at most `total` in all. */
export async function startIrisLoad(
  client: TroupeClient,
  options: { readonly inFlight: number; readonly total?: number; readonly deadlineMs?: number },
): Promise<IrisLoad> {
  const flowers = readFlowers();
  const expected = await expectedProbabilities(flowers);
  const results: LoadResult[] = [];
  const open = new Map<number, number>();
  let sent = 0;
  let stopping = false;

  async function ask(index: number): Promise<LoadResult> {
    const flower = index % flowers.length;
    const startedAt = performance.now();
    try {
      const answer = await client.infer('iris', new Float32Array(flowers[flower] ?? []), {
        ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
      });
      const got = answer.outputs.probabilities?.data as Float32Array;
      const want = expected[flower] ?? new Float32Array();
      const right =
        got.length === want.length && want.every((value, i) => Math.abs(value - (got[i] ?? NaN)) <= 1e-5);
      return { flower, startedAt, endedAt: performance.now(), outcome: right ? 'right' : 'wrong' };
    } catch (error) {
      return { flower, startedAt, endedAt: performance.now(), outcome: 'error', error };
    }
  }

  async function lane(): Promise<void> {
    while (!stopping && sent < (options.total ?? Number.POSITIVE_INFINITY)) {
      const index = sent;
      sent += 1;
      open.set(index, performance.now());
      results.push(await ask(index));
      open.delete(index);
    }
  }

  const lanes = Promise.all(Array.from({ length: options.inFlight }, lane));
  return {
    results,
    openSince: () => [...open.values()],
    async stop() {
      if (options.total === undefined) stopping = true;
      await lanes;
      return results;
    },
  };
}

/** Counts of a load's results, and the first error, for assertions that read well. */
export function summarize(results: readonly LoadResult[]): {
  right: number;
  wrong: number;
  errors: string[];
} {
  return {
    right: results.filter(({ outcome }) => outcome === 'right').length,
    wrong: results.filter(({ outcome }) => outcome === 'wrong').length,
    errors: results.filter(({ outcome }) => outcome === 'error').map(({ error }) => String(error)),
  };
}
