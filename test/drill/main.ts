/**
 * `npm run drill -- <name> [--short]`: sets up and builds where needed, starts a cluster of its own (on the servers named
 * by NATS_URL and REDIS_URL, in a namespace of its own, where those are set), runs the drill and ends everything.
 * Progress goes to standard error; standard output gets one line of JSON at the end. Exit code 0 where the promise was
 * kept, 1 where it was broken, 2 for wrong arguments; Ctrl-C ends it all.
 *
 * To add a drill: a file beside this one that exports a `Drill` (see drill.ts), and a row in `drills` below. Its short
 * form is for a test, `test/drill/<name>.test.ts`, which calls the function itself; such a test holds the promise and the
 * shape of the outcome, never times.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { interruptedExitCode, reportEarlyEnd } from '../../deploy/local/exit-code.mjs';
import { expectGivenServer } from '../../deploy/local/given-servers.mjs';
import { startGuard } from '../../deploy/local/guard-client.mjs';
import { runIdVariable } from '../../deploy/local/processes.mjs';
import { createProgress, type Progress } from '../../deploy/local/progress.mjs';
import { repositoryRoot } from '../../deploy/local/root.mjs';
import { ensureSetUp } from '../../deploy/local/setup.mjs';
import { watchStopSignals } from '../../deploy/local/stop-signals.mjs';
import type { ClusterOptions, TestCluster } from '../harness/cluster.js';
import { type Drill, outcomeLine } from './drill.js';

/** By name. Loaded when wanted: a drill needs the packages that the set-up may just have installed. */
const drills: Readonly<Record<string, () => Promise<Drill>>> = {
  swap: async () => (await import('./swap.js')).swapDrill,
  rollback: async () => (await import('./rollback.js')).rollbackDrill,
  residency: async () => (await import('./residency.js')).residencyDrill,
};

interface DrillArguments {
  readonly name: string;
  readonly load: () => Promise<Drill>;
  readonly short: boolean;
}

const usage = `usage: npm run drill -- <name> [--short]
  <name>     ${Object.keys(drills).join(', ')}
  --short    few repetitions: whether it works, not how well`;

function readArguments(argv: readonly string[]): DrillArguments | { readonly fault: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { short: { type: 'boolean', default: false } },
    });
    const [name, ...rest] = positionals;
    if (name === undefined || rest.length > 0) return { fault: 'one drill is wanted' };
    const load = Object.hasOwn(drills, name) ? drills[name] : undefined;
    if (load === undefined) return { fault: `there is no drill ${JSON.stringify(name)}` };
    return { name, load, short: values.short };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

async function main(): Promise<number> {
  const args = readArguments(process.argv.slice(2));
  if ('fault' in args) {
    console.error(`troupe: ${args.fault}\n${usage}`);
    return 2;
  }
  const progress = createProgress(process.stderr);
  const signals = watchStopSignals({ onStop: (reason) => progress.line(`Ending (${reason})`) });
  const runId = randomBytes(8).toString('hex');
  const guard = startGuard({ runId });
  const { NATS_URL: givenNats, REDIS_URL: givenRedis } = process.env;
  // Everything that we start inherits it: the guard ends what is left should we be killed.
  process.env[runIdVariable] = runId;
  try {
    if (givenNats !== undefined) await expectGivenServer('NATS_URL', givenNats);
    if (givenRedis !== undefined) await expectGivenServer('REDIS_URL', givenRedis);
    const servers = await ensureSetUp(repositoryRoot, {
      guard,
      progress,
      signal: signals.stop,
      needs: [
        ...(givenNats === undefined ? (['nats-server'] as const) : []),
        ...(givenRedis === undefined ? (['redis-server'] as const) : []),
      ],
    });
    const folders = Object.values(servers).map(({ path }) => dirname(path));
    process.env.PATH = [process.env.PATH, ...folders].join(':');
    return await runDrill(args, progress, signals.stop, { givenNats, givenRedis });
  } catch (error) {
    if (signals.stop.aborted) return interruptedExitCode(String(signals.stop.reason));
    return reportEarlyEnd(error, progress.line);
  } finally {
    await guard.dismiss();
    signals.dispose();
  }
}

async function runDrill(
  { name, load, short }: DrillArguments,
  progress: Progress,
  signal: AbortSignal,
  given: { readonly givenNats: string | undefined; readonly givenRedis: string | undefined },
): Promise<number> {
  // Only now: it needs the packages.
  const { startCluster } = await import('../harness/cluster.js');
  const { givenServer } = await import('./given-server.js');
  const drill = await load();
  const onGivenServers: ClusterOptions = {
    ...(given.givenNats === undefined ? {} : { nats: givenServer(given.givenNats, 4222) }),
    ...(given.givenRedis === undefined ? {} : { redis: givenServer(given.givenRedis, 6379) }),
    ...(given.givenNats === undefined && given.givenRedis === undefined
      ? {}
      : { namespace: `drill-${randomBytes(4).toString('hex')}` }),
  };
  const clusters: TestCluster[] = [];
  const startedMs = performance.now();
  const work = async () => {
    const outcome = await untilStopped(signal, () =>
      drill({
        progress,
        signal,
        short,
        startCluster: async (options) => {
          const cluster = await progress.step('Starting a cluster', () =>
            startCluster({ ...options, ...onGivenServers }),
          );
          clusters.push(cluster);
          if (signal.aborted) throw new Error(`stopped by ${String(signal.reason)}`);
          return cluster;
        },
      }),
    );
    if (outcome.faults.length > 0) progress.line(`What the processes said is in ${keepLogs(clusters)}`);
    return outcome;
  };
  const outcome = await work().finally(() =>
    progress.step('Ending the cluster', () => Promise.all(clusters.map((cluster) => cluster.stop()))),
  );
  for (const fault of outcome.faults) progress.line(`BROKEN: ${fault}`);
  console.log(outcomeLine(name, outcome, Math.round((performance.now() - startedMs) / 1_000)));
  return outcome.faults.length === 0 ? 0 : 1;
}

/** Where a promise was broken, somebody will want to know why. */
function keepLogs(clusters: readonly TestCluster[]): string {
  const path = join(mkdtempSync(join(tmpdir(), 'troupe-drill-')), 'cluster.log');
  writeFileSync(path, clusters.map((cluster) => cluster.logs()).join('\n'));
  return path;
}

/** The work's outcome, or a rejection as soon as somebody asks for the end. */
function untilStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error(`stopped by ${String(signal.reason)}`));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

process.exitCode = await main();
