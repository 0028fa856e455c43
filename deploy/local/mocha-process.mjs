/**
 * Owns one mocha process of `npm test`: its arguments, its outcomes as they come, its end, and what it leaves. Called by
 * run-tests.mjs.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, sendSignal, waitUntilGone } from './processes.mjs';

/** Between the last test and mocha's own end: what is still open then is a leak of the suite's. */
const lingerMs = 15_000;
/** For the test that runs when a signal comes. */
const graceMs = 5_000;
/** For what mocha wrote last; a process that it left may hold its output open for longer. */
const drainMs = 2_000;

/**
 * Mocha's arguments from its settings file.
 * @param {{ 'node-option'?: string[], timeout?: number }} settings
 * @param {readonly string[]} argv flags of mocha, files among them
 * @param {string} outcomesPath
 */
export function mochaArguments(settings, argv, outcomesPath) {
  return [
    ...(settings['node-option'] ?? []).map((option) => `--${option}`),
    'node_modules/mocha/bin/mocha.js',
    '--no-config',
    `--timeout=${settings.timeout ?? 2_000}`,
    '--reporter=deploy/local/mocha-reporter.cjs',
    `--reporter-option=outcomes=${outcomesPath}`,
    ...argv,
  ];
}

/**
 * @typedef {{ passed: number, failed: number, skipped: number, ended: boolean }} Counts
 * @typedef {{ counts: Counts, code: number | null, lingered: boolean }} MochaEnd
 */

/**
 * Runs until mocha has ended. A stop lets the running test end and its clean-up run, for a while.
 * @param {{ root: string, args: string[], env: NodeJS.ProcessEnv, outcomesPath: string,
 *   print: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => void,
 *   guard: import('./guard-client.mjs').Guard, stop: AbortSignal }} context
 * @returns {Promise<MochaEnd>}
 */
export async function runMocha({ root, args, env, outcomesPath, print, guard, stop }) {
  writeFileSync(outcomesPath, '');
  const counts = () => countOutcomes(readFileSync(outcomesPath, 'utf8'));
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    detached: true, // the terminal's Ctrl-C comes through us, once
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.on('data', (chunk) => print('stdout', chunk));
  child.stderr.on('data', (chunk) => print('stderr', chunk));
  const drained = new Promise((resolve) => child.once('close', resolve));
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code));
  });
  const { pid } = child;
  if (pid === undefined) return { counts: counts(), code: await ended, lingered: false };
  const identity = identify(pid);
  guard.charge({ name: 'mocha', stage: 0, graceMs: 1_000, ...identity });

  let lingered = false;
  const kill = () => sendSignal(-pid, 'SIGKILL');
  const onStop = () => {
    sendSignal(pid, 'SIGINT');
    void waitUntilGone(identity, graceMs).then((gone) => gone || kill());
  };
  stop.addEventListener('abort', onStop, { once: true });
  /** @type {NodeJS.Timeout | undefined} */
  let cut;
  const watch = setInterval(() => {
    if (!counts().ended) return;
    clearInterval(watch);
    cut = setTimeout(() => {
      lingered = kill();
    }, lingerMs);
  }, 500);
  try {
    const code = await ended;
    kill(); // what a test has left in mocha's own group
    await Promise.race([drained, delay(drainMs, undefined, { ref: false })]);
    return { counts: counts(), code, lingered };
  } finally {
    stop.removeEventListener('abort', onStop);
    clearInterval(watch);
    clearTimeout(cut);
    child.stdout.destroy();
    child.stderr.destroy();
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
 * @param {MochaEnd} end
 */
export function testFault({ counts, code, lingered }) {
  if (!counts.ended)
    return `troupe: the test process ended before its tests did (exit code ${code ?? 'by signal'})`;
  if (lingered) return 'troupe: the tests have ended, but something they opened kept their process alive';
  if (counts.passed + counts.failed === 0) return 'troupe: no test has run';
  if (code !== 0 && counts.failed === 0)
    return `troupe: mocha ended with code ${code} though no test has failed`;
  return undefined;
}
