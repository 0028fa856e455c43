/**
 * Entry of `npm run bench`. Plain Node, so that it also runs in a clean clone: checks Node, does the set-up of `npm
 * start` (packages, servers, build), then hands over to main.ts. Owns the guard, Ctrl-C and the exit code.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { nodeVersionFault } from '../../deploy/local/node-version.mjs';

const fault = nodeVersionFault(process.versions.node);
if (fault !== undefined) {
  console.error(`troupe: ${fault}`);
  process.exit(1);
}

const { interruptedExitCode, reportEarlyEnd } = await import('../../deploy/local/exit-code.mjs');
const { startGuard } = await import('../../deploy/local/guard-client.mjs');
const { runIdVariable, sweepRun } = await import('../../deploy/local/processes.mjs');
const { createProgress } = await import('../../deploy/local/progress.mjs');
const { repositoryRoot } = await import('../../deploy/local/root.mjs');
const { ensureSetUp } = await import('../../deploy/local/setup.mjs');
const { watchStopSignals } = await import('../../deploy/local/stop-signals.mjs');

async function run() {
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
    process.env.PATH = [...folders, process.env.PATH].join(':');
    const { register } = await import('tsx/esm/api');
    register(); // without the condition @troupe/source: what is measured is the build
    const { main } = await import('./main.ts');
    return await main({ argv: process.argv.slice(2), progress, signal: signals.stop });
  } catch (error) {
    if (signals.stop.aborted) return interruptedExitCode(String(signals.stop.reason));
    return reportEarlyEnd(error, progress.line);
  } finally {
    await sweepRun(runId);
    await guard.dismiss();
    signals.dispose();
  }
}

run().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
