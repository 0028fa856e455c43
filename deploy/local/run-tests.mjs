/**
 * Owns one `npm test`: the same set-up as `npm start`, then mocha over the suite, then the line that counts. Called by
 * test.mjs. Arguments are passed on to mocha; files among them replace the suite.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { terminalQuestion } from './ask.mjs';
import { interruptedExitCode, reportEarlyEnd } from './exit-code.mjs';
import { Interrupted } from './fault.mjs';
import { startGuard } from './guard-client.mjs';
import { identify, runIdVariable, sendSignal, sweepRun, waitUntilGone } from './processes.mjs';
import { createProgress } from './progress.mjs';
import { repositoryRoot } from './root.mjs';
import { ensureSetUp } from './setup.mjs';
import { watchStopSignals } from './stop-signals.mjs';

/** Between the last test and mocha's own end: what is still open then is a leak of the suite's. */
const lingerMs = 15_000;
/** For the test that runs when a signal comes. */
const graceMs = 5_000;

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
    const outcomesPath = join(folder, 'outcomes');
    writeFileSync(outcomesPath, '');
    const serverFolders = Object.values(servers).map(({ path }) => dirname(path));
    const mochaEnv = {
      ...env,
      [runIdVariable]: runId,
      PATH: [...new Set([...(env.PATH ?? '').split(':'), ...serverFolders])].join(':'),
      ...(stdout.isTTY === true ? { FORCE_COLOR: '1' } : {}),
    };
    const args = mochaArguments(
      JSON.parse(readFileSync(join(root, '.mocharc.json'), 'utf8')),
      argv.filter((argument) => argument !== '--yes'),
      outcomesPath,
    );
    const end = await runMocha({ root, args, env: mochaEnv, outcomesPath, guard, signals });
    await sweepRun(runId);
    const counts = countOutcomes(readFileSync(outcomesPath, 'utf8'));
    const fault = testFault(counts, end);
    if (fault !== undefined) {
      stdout.write(`\n${fault}\n`);
      if (counts.failed === 0) counts.failed = 1;
    }
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

/** The whole suite. Not in mocha's settings file: mocha adds those files to the ones named on the command line. */
const suite = ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'];

/**
 * Mocha's arguments from its settings file, and the whole suite unless files are named.
 * @param {{ 'node-option'?: string[], timeout?: number }} settings
 * @param {readonly string[]} argv
 * @param {string} outcomesPath
 */
export function mochaArguments(settings, argv, outcomesPath) {
  const named = argv.some((argument) => /\.[cm]?[jt]s$|[*/]$/.test(argument) && !argument.startsWith('-'));
  return [
    ...(settings['node-option'] ?? []).map((option) => `--${option}`),
    'node_modules/mocha/bin/mocha.js',
    '--no-config',
    `--timeout=${settings.timeout ?? 2_000}`,
    '--reporter=deploy/local/mocha-reporter.cjs',
    `--reporter-option=outcomes=${outcomesPath}`,
    ...argv,
    ...(named ? [] : suite),
  ];
}

/**
 * @typedef {{ code: number | null, lingered: boolean }} MochaEnd
 * @typedef {{ passed: number, failed: number, skipped: number, ended: boolean }} Counts
 */

/**
 * @param {{ root: string, args: string[], env: NodeJS.ProcessEnv, outcomesPath: string,
 *   guard: import('./guard-client.mjs').Guard, signals: import('./stop-signals.mjs').StopSignals }} context
 * @returns {Promise<MochaEnd>}
 */
async function runMocha({ root, args, env, outcomesPath, guard, signals }) {
  if (signals.stop.aborted) throw new Interrupted(String(signals.stop.reason));
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    detached: true, // the terminal's Ctrl-C comes through us, once
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const { pid } = child;
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code));
  });
  if (pid === undefined) return { code: await ended, lingered: false };
  const identity = identify(pid);
  guard.charge({ name: 'mocha', stage: 0, graceMs: 1_000, ...identity });

  let lingered = false;
  const kill = () => sendSignal(-pid, 'SIGKILL');
  const onStop = () => {
    // Mocha stops behind the running test, and its clean-up runs; what takes longer is cut short.
    sendSignal(pid, 'SIGINT');
    void waitUntilGone(identity, graceMs).then((gone) => gone || kill());
  };
  signals.stop.addEventListener('abort', onStop, { once: true });
  const watch = setInterval(() => {
    if (!countOutcomes(readFileSync(outcomesPath, 'utf8')).ended) return;
    clearInterval(watch);
    void delay(lingerMs, undefined, { ref: false }).then(() => {
      lingered = kill();
    });
  }, 500);
  try {
    return { code: await ended, lingered };
  } finally {
    clearInterval(watch);
    kill(); // what a test has left in mocha's own group
    guard.release(pid);
  }
}

/**
 * @param {string} letters
 * @returns {Counts}
 */
export function countOutcomes(letters) {
  const count = (/** @type {string} */ letter) => letters.split(letter).length - 1;
  return { passed: count('p'), failed: count('f'), skipped: count('s'), ended: letters.includes('e') };
}

/**
 * What is wrong beside failed tests, or undefined.
 * @param {Counts} counts
 * @param {MochaEnd} end
 */
export function testFault(counts, { code, lingered }) {
  if (!counts.ended)
    return `troupe: the test process ended before its tests did (exit code ${code ?? 'by signal'})`;
  if (lingered) return 'troupe: the tests have ended, but something they opened kept their process alive';
  if (counts.passed + counts.failed === 0) return 'troupe: no test has run';
  if (code !== 0 && counts.failed === 0)
    return `troupe: mocha ended with code ${code} though no test has failed`;
  return undefined;
}

/** @param {Counts} counts */
export function formatCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
