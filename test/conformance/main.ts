/**
 * `npm run conformance -- <folder>`: sets up and builds where needed, starts a cluster of its own, replays the folder
 * through it and ends it. Progress goes to standard error; a summary and, as the last line, one line of JSON to
 * standard output. Exit code 0 where everything has passed, 1 where not, 2 for wrong arguments; Ctrl-C ends it all.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { interruptedExitCode, reportEarlyEnd } from '../../deploy/local/exit-code.mjs';
import { startGuard } from '../../deploy/local/guard-client.mjs';
import { runIdVariable } from '../../deploy/local/processes.mjs';
import { createProgress } from '../../deploy/local/progress.mjs';
import { repositoryRoot } from '../../deploy/local/root.mjs';
import { ensureSetUp } from '../../deploy/local/setup.mjs';
import { watchStopSignals } from '../../deploy/local/stop-signals.mjs';
import { parseConformanceArguments, usage } from './command-line.js';

async function main(): Promise<number> {
  const args = parseConformanceArguments(process.argv.slice(2));
  if ('fault' in args) {
    console.error(`troupe: ${args.fault}\n${usage}`);
    return 2;
  }
  const progress = createProgress(process.stderr);
  const signals = watchStopSignals({ onStop: (reason) => progress.line(`Ending (${reason})`) });
  const runId = randomBytes(8).toString('hex');
  const guard = startGuard({ runId });
  // Everything that we start inherits it: the guard ends what is left should we be killed.
  process.env[runIdVariable] = runId;
  try {
    const servers = await ensureSetUp(repositoryRoot, {
      guard,
      progress,
      signal: signals.stop,
      needs: ['nats-server', 'redis-server'],
    });
    const folders = Object.values(servers).map(({ path }) => dirname(path));
    process.env.PATH = [process.env.PATH, ...folders].join(':');
    return await replay(args, progress, signals.stop);
  } catch (error) {
    if (signals.stop.aborted) return interruptedExitCode(String(signals.stop.reason));
    return reportEarlyEnd(error, progress.line);
  } finally {
    await guard.dismiss();
    signals.dispose();
  }
}

async function replay(
  args: Exclude<ReturnType<typeof parseConformanceArguments>, { fault: string }>,
  progress: ReturnType<typeof createProgress>,
  signal: AbortSignal,
): Promise<number> {
  // Only now: these need the packages that the set-up may just have installed.
  const { startCluster } = await import('../harness/cluster.js');
  const { readCaseFolder, selectCases } = await import('./case-folder.js');
  const { conformanceEnvironment, runConformance, slotsFor } = await import('./run-conformance.js');
  const { describeTally } = await import('./tally.js');

  const folder = selectCases(readCaseFolder(args.folder), args.only);
  if (folder.cases.length + folder.negative.length + folder.hazards.length === 0) {
    progress.line(`troupe: no case in ${args.folder} is meant by ${String(args.only)}`);
    return 2;
  }
  const startedMs = performance.now();
  const cluster = await progress.step('Starting a cluster', () =>
    startCluster({ slots: slotsFor(args.wave), env: conformanceEnvironment }),
  );
  const tally = await untilStopped(signal, () =>
    progress.step('Replaying', (update) =>
      runConformance(cluster, folder, {
        wave: args.wave,
        signal,
        onProgress: (text) => {
          if (signal.aborted) return; // what fails from here on fails because we end
          if (text.startsWith('FAULT')) progress.line(text);
          else update(text);
        },
      }),
    ),
  ).finally(() => progress.step('Ending the cluster', () => cluster.stop()));
  const ok = tally.faults.length === 0;
  const { faults, ...counts } = tally;
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(describeTally(tally));
  console.log(JSON.stringify({ ok, ...counts, faultCount: faults.length, seconds }));
  return ok ? 0 : 1;
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
