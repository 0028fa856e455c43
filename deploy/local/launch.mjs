/**
 * Owns one `npm start` from its flags to its exit code: the lock of the running cluster, the guard, set-up, processes,
 * proof, report, and the end in order. Called by start.mjs; leaves the real work to the modules beside it.
 */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { terminalQuestion } from './ask.mjs';
import { createCluster, localHostName, removeClusterFile, writeClusterFile } from './cluster.mjs';
import { gpuPlatformFault, listGpus } from './cuda-provider.mjs';
import { reportEarlyEnd } from './exit-code.mjs';
import { Interrupted, SetupFault } from './fault.mjs';
import { helpText, parseFlags } from './flags.mjs';
import { expectGivenServer } from './given-servers.mjs';
import { startGuard } from './guard-client.mjs';
import { tryLock } from './lock.mjs';
import { isAlive, sweepRun } from './processes.mjs';
import { createProgress } from './progress.mjs';
import { runProof } from './prove-client.mjs';
import { formatDoors, formatJson, formatReport, proofFault, withoutPassword } from './report.mjs';
import { repositoryRoot } from './root.mjs';
import { findCommand, searchFolders } from './servers.mjs';
import { ensureSetUp } from './setup.mjs';
import { watchStopSignals } from './stop-signals.mjs';

/** How long a start waits for the end of one whose launcher was killed; its host drains within this. */
const predecessorMs = 90_000;

/** Without `--gpu`: two, so that a worker on each shows how a model spreads. */
const cpuDevices = 'cpu:0,cpu:1';

/**
 * @typedef {object} LaunchContext
 * @property {string} [root] the clone
 * @property {readonly string[]} argv
 * @property {NodeJS.ProcessEnv} env
 * @property {NodeJS.WriteStream} stdout
 * @property {NodeJS.WriteStream} stderr
 * @property {NodeJS.ReadStream} [stdin] where the user answers; without one nothing is asked
 * @property {typeof import('./cluster.mjs').troupeProcesses} [processes] in place of Troupe's own, for tests
 * @property {(context: Parameters<typeof runProof>[0]) => Promise<import('./prove.mjs').ProofResult>} [proof] likewise
 * @property {typeof ensureSetUp} [setUp] likewise
 * @property {{ platform: string, arch: string }} [system] likewise, in place of this one
 */

/**
 * @param {LaunchContext} context
 * @returns {Promise<number>} exit code
 */
export async function launch(context) {
  const { argv, env, stdout, stderr } = context;
  // Whoever read our output may go (`| head`, a closed terminal); the cluster stays, or drains, all the same.
  for (const stream of [stdout, stderr]) stream.on('error', () => {});

  const flags = parseFlags(argv, env);
  if (flags.kind === 'help') {
    stdout.write(helpText);
    return 0;
  }
  if (flags.kind === 'wrong') {
    stderr.write(`troupe: ${flags.message}\n`);
    return 2;
  }
  const progress = createProgress(stderr);
  const signals = watchStopSignals({
    onStop: (reason) => progress.line(`Ending (${reason})`),
    onHurry: () => progress.line('Asked again: ending at once'),
    env,
  });
  try {
    return await launchLocked(context, flags.options, progress, signals);
  } catch (error) {
    return reportEarlyEnd(error, progress.line);
  } finally {
    signals.dispose();
  }
}

/**
 * @param {LaunchContext} context
 * @param {import('./flags.mjs').LaunchOptions} options
 * @param {import('./progress.mjs').Progress} progress
 * @param {import('./stop-signals.mjs').StopSignals} signals
 */
async function launchLocked(context, options, progress, signals) {
  const { root = repositoryRoot, env, processes } = context;
  const platformFault = options.gpu ? gpuPlatformFault(context.system ?? process) : undefined;
  if (platformFault !== undefined) throw platformFault;
  const runId = randomBytes(8).toString('hex');
  const lockPath = join(root, '.troupe/cluster.lock');
  const clusterPath = join(root, '.troupe/cluster.json');
  const lock = await takeClusterLock({ lockPath, clusterPath, runId, progress, signal: signals.stop });
  const guard = startGuard({
    runId,
    files: [clusterPath],
    lock: lockPath,
    onReplaced: () => lock.update({ guard: guard.identity() }),
  });
  lock.update({ guard: guard.identity() });

  /** @type {import('./cluster.mjs').Cluster | undefined} */
  let cluster;
  try {
    const given = { nats: Boolean(env.NATS_URL), redis: Boolean(env.REDIS_URL) };
    if (env.NATS_URL) await expectGivenServer('NATS_URL', env.NATS_URL);
    if (env.REDIS_URL) await expectGivenServer('REDIS_URL', env.REDIS_URL);
    const tools = { guard, progress, signal: signals.stop };
    const servers = await (context.setUp ?? ensureSetUp)(root, {
      ...tools,
      gpu: options.gpu,
      ...consent(context, options.yes, signals.stop),
      needs: [
        ...(given.nats ? [] : [/** @type {const} */ ('nats-server')]),
        ...(given.redis ? [] : [/** @type {const} */ ('redis-server')]),
      ],
    });
    const folders = searchFolders(env.PATH ?? '');
    const devices = options.gpu ? await listGpus(env, folders, tools) : cpuDevices;
    cluster = createCluster({
      root,
      runId,
      env,
      devices,
      options,
      servers,
      ...tools,
      ...(processes === undefined ? {} : { processes }),
    });
    const addresses = await cluster.start();
    writeClusterFile(clusterPath, { ...addresses, pid: process.pid });
    const proof = await (context.proof ?? runProof)({
      root,
      ...tools,
      env: cluster.childEnv({ NATS_URL: addresses.nats, REDIS_URL: addresses.redis }),
    });
    report(context, options, {
      root,
      addresses,
      proof,
      natsIsOurs: !given.nats,
      redisIsOurs: !given.redis,
      hasNatsCli: findCommand('nats', folders) !== undefined,
      devices,
      hostName: localHostName(),
    });
    if (!options.once) await untilAborted(signals.stop);
    return 0;
  } finally {
    removeClusterFile(clusterPath);
    await cluster?.drain(signals.hurry);
    await guard.dismiss();
    lock.release();
  }
}

/**
 * @param {LaunchContext} context
 * @param {boolean} yes
 * @param {AbortSignal} signal
 * @returns {import('./apt.mjs').Consent}
 */
function consent({ stdin, stderr }, yes, signal) {
  const ask = stdin === undefined ? undefined : terminalQuestion({ stdin, stderr, signal });
  return ask === undefined ? { yes } : { yes, ask };
}

/**
 * Prints what came out; throws where the proof did not hold.
 * @param {LaunchContext} context
 * @param {import('./flags.mjs').LaunchOptions} options
 * @param {import('./report.mjs').ReportFacts} facts
 */
function report({ stdout, stderr }, options, facts) {
  const fault = proofFault(facts.proof);
  const readable = options.json ? stderr : stdout;
  if (fault === undefined || facts.proof.answered > 0) readable.write(formatReport(facts));
  if (fault !== undefined) throw new SetupFault(fault);
  if (options.json) stdout.write(`${formatJson(facts)}\n`);
  if (options.once) return;
  readable.write(formatDoors(facts));
  readable.write('\nCtrl-C ends it.\n');
}

/**
 * One cluster for each clone. A launcher that was killed holds its lock until its guard has ended what it had started;
 * where both were killed, we end what they have left.
 * @param {{ lockPath: string, clusterPath: string, runId: string, progress: import('./progress.mjs').Progress,
 *   signal: AbortSignal }} context
 * @returns {Promise<import('./lock.mjs').Lock>}
 */
async function takeClusterLock({ lockPath, clusterPath, runId, progress, signal }) {
  /** @param {import('./lock.mjs').LockRecord} record */
  const guardOf = (record) => /** @type {import('./processes.mjs').Identity | undefined} */ (record.guard);
  /** @param {import('./lock.mjs').LockRecord} record */
  const isHeld = (record) => {
    const guard = guardOf(record);
    return isAlive(record) || (guard !== undefined && isAlive(guard));
  };
  return progress.step('Waiting for the end of an earlier start that was killed', async () => {
    const end = performance.now() + predecessorMs;
    for (;;) {
      const outcome = tryLock(lockPath, { facts: { runId }, isHeld });
      if ('lock' in outcome) {
        if (typeof outcome.previous?.runId === 'string') await sweepRun(outcome.previous.runId);
        return outcome.lock;
      }
      const { holder } = outcome;
      if (isAlive(holder) || performance.now() > end)
        throw new SetupFault(`already running in this clone: ${describeRunning(holder.pid, clusterPath)}`);
      if (signal.aborted) throw new Interrupted(String(signal.reason));
      await delay(100);
    }
  });
}

/**
 * @param {number} pid
 * @param {string} clusterPath
 */
function describeRunning(pid, clusterPath) {
  try {
    const { nats, redis } = JSON.parse(readFileSync(clusterPath, 'utf8'));
    return `process ${pid}, ${withoutPassword(nats)}, ${withoutPassword(redis)}`;
  } catch {
    return `process ${pid}, still starting`; // no file yet
  }
}

/** @param {AbortSignal} signal */
function untilAborted(signal) {
  return new Promise((resolve) => {
    // A signal alone does not keep a process alive.
    const alive = setInterval(() => {}, 60_000);
    const done = () => {
      clearInterval(alive);
      resolve(undefined);
    };
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}
