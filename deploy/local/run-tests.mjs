/**
 * Owns one `npm test`: the same set-up as `npm start`, then mocha over the suite, then the line that counts. Called by
 * test.mjs. Arguments are passed on to mocha; files among them replace the suite.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { terminalQuestion } from './ask.mjs';
import { interruptedExitCode, reportEarlyEnd } from './exit-code.mjs';
import { Interrupted } from './fault.mjs';
import { startGuard } from './guard-client.mjs';
import { printInTurn } from './in-turn.mjs';
import { mochaArguments, runMocha, testFault } from './mocha-process.mjs';
import { runIdVariable, sweepRun } from './processes.mjs';
import { createProgress } from './progress.mjs';
import { repositoryRoot } from './root.mjs';
import { ensureSetUp } from './setup.mjs';
import { watchStopSignals } from './stop-signals.mjs';

/** Not in mocha's settings file: mocha adds those files to the ones named on the command line. */
const packages = 'packages/*/test/**/*.test.ts';
const acrossPackages = 'test/**/*.test.ts';
/** Folders of test/ whose tests run behind those of the packages, so that both processes take about as long. */
const behindPackages = ['launch', 'lint', 'models', 'packaging'];

/**
 * `--yes` is ours: install missing servers without a question. All other arguments are mocha's.
 * @param {{ root?: string, argv: readonly string[], env: NodeJS.ProcessEnv, stdout: NodeJS.WriteStream,
 *   stderr: NodeJS.WriteStream, stdin?: NodeJS.ReadStream }} context
 * @returns {Promise<number>} exit code
 */
export async function runTests({ root = repositoryRoot, argv, env, stdout, stderr, stdin }) {
  for (const stream of [stdout, stderr]) stream.on('error', () => {}); // the reader may go first
  const progress = createProgress(stderr);
  const signals = watchStopSignals({ onStop: (reason) => progress.line(`Ending (${reason})`), env });
  const runId = randomBytes(8).toString('hex');
  const guard = startGuard({ runId });
  const folder = mkdtempSync(join(tmpdir(), 'troupe-tests-'));
  try {
    const ask = stdin === undefined ? undefined : terminalQuestion({ stdin, stderr, signal: signals.stop });
    const servers = await ensureSetUp(root, {
      yes: argv.includes('--yes') || env.npm_config_yes === 'true',
      ...(ask === undefined ? {} : { ask }),
      guard,
      progress,
      signal: signals.stop,
      needs: ['nats-server', 'redis-server'],
    });
    const serverFolders = Object.values(servers).map(({ path }) => dirname(path));
    const mochaEnv = {
      ...env,
      [runIdVariable]: runId,
      PATH: [...new Set([...(env.PATH ?? '').split(':'), ...serverFolders])].join(':'),
      ...(stdout.isTTY === true ? { FORCE_COLOR: '1' } : {}),
    };
    const settings = JSON.parse(readFileSync(join(root, '.mocharc.json'), 'utf8'));
    const parts = suiteParts(
      argv.filter((argument) => argument !== '--yes'),
      availableParallelism(),
    );
    if (signals.stop.aborted) throw new Interrupted(String(signals.stop.reason));
    const turns = printInTurn(parts.length);
    const ends = await Promise.all(
      parts.map(async (partArgv, part) => {
        const outcomesPath = join(folder, `outcomes-${part}`);
        try {
          const end = await runMocha({
            root,
            args: mochaArguments(settings, partArgv, outcomesPath),
            env: mochaEnv,
            outcomesPath,
            print: (stream, chunk) => turns.print(part, stream === 'stdout' ? stdout : stderr, chunk),
            guard,
            stop: signals.stop,
          });
          const fault = testFault(end);
          if (fault !== undefined) turns.print(part, stdout, `\n${fault}\n`);
          return { ...end.counts, faulty: fault !== undefined };
        } finally {
          turns.end(part);
        }
      }),
    );
    await sweepRun(runId);
    const counts = sumUp(ends);
    stdout.write(`${formatCounts(counts)}\n`);
    if (signals.stop.aborted) return interruptedExitCode(String(signals.stop.reason));
    return counts.failed === 0 ? 0 : 1;
  } catch (error) {
    return reportEarlyEnd(error, progress.line);
  } finally {
    await guard.dismiss();
    rmSync(folder, { recursive: true, force: true });
    signals.dispose();
  }
}

/**
 * What each mocha process runs. The whole suite is two that run side by side: half of its time it waits. With arguments
 * for mocha it is one, so that `--bail`, `--grep` and the rest mean what they say.
 * @param {readonly string[]} argv mocha's
 * @param {number} processors
 * @returns {string[][]} mocha's arguments for each process
 */
export function suiteParts(argv, processors) {
  if (argv.some((argument) => /\.[cm]?[jt]s$|[*/]$/.test(argument) && !argument.startsWith('-')))
    return [[...argv]];
  if (argv.length > 0 || processors < 2) return [[...argv, packages, acrossPackages]];
  return [
    [packages, ...behindPackages.map((folder) => `test/${folder}/**/*.test.ts`)],
    [acrossPackages, ...behindPackages.map((folder) => `--ignore=test/${folder}/**/*.test.ts`)],
  ];
}

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/**
 * All processes together; one that was at fault has failed at least once.
 * @param {readonly (Counts & { faulty: boolean })[]} ends
 * @returns {Counts}
 */
export function sumUp(ends) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped, faulty } of ends) {
    sum.passed += passed;
    sum.failed += Math.max(failed, faulty ? 1 : 0);
    sum.skipped += skipped;
  }
  return sum;
}

/** @param {Counts} counts */
export function formatCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
