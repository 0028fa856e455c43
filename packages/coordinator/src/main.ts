/**
 * The coordinator process: `bin/troupe-coordinator.js` and tests start it. Tells its supervisor `ready` on
 * TROUPE_READY_FD once the doors are open and somebody leads. Exit codes: 0 stopped as asked, 1 failed (one line on
 * standard error), 2 wrong usage, 130 ended at once by a second Ctrl-C.
 */
import { closeSync, writeSync } from 'node:fs';
import { createLog, resolveConfiguration, runCommand } from '@troupe/shared';
import { readCoordinatorArguments } from './command-line.js';
import { createCoordinator } from './coordinator.js';

/** A terminal's one Ctrl-C may arrive twice at once: only a second one this much later means 'now', in milliseconds. */
const deliberateMs = 1_000;

function tellReady(fd: number | undefined): void {
  if (fd === undefined) return;
  try {
    writeSync(fd, 'ready\n');
    closeSync(fd);
  } catch {
    // The supervisor has gone, or gave no such descriptor: nobody waits for the word.
  }
}

/** Calls `stop` at the first signal, and ends the process at a deliberate second Ctrl-C. Returns how to stop hearing. */
function onStopSignals(stop: (signal: NodeJS.Signals) => void): () => void {
  let stoppedAtMs: number | undefined;
  const hear = (signal: NodeJS.Signals) => {
    const nowMs = performance.now();
    if (stoppedAtMs === undefined) {
      stoppedAtMs = nowMs;
      stop(signal);
    } else if (signal === 'SIGINT' && nowMs - stoppedAtMs >= deliberateMs) process.exit(130);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, hear);
  return () => {
    for (const signal of signals) process.off(signal, hear);
  };
}

async function main(): Promise<number> {
  const { name, flags, printConfig } = readCoordinatorArguments(process.argv.slice(2));
  const configuration = resolveConfiguration({ flags, folder: process.cwd() });
  if (printConfig) {
    process.stdout.write(`${configuration.describe()}\n`);
    return 0;
  }
  const { natsUrl, natsAccess, redisUrl, redisCaFile, cluster, readyFd } = configuration;
  const log = createLog('troupe-coordinator', configuration.logLevel ?? 'info');
  const coordinator = createCoordinator({
    name,
    natsUrl,
    natsAccess,
    redisUrl,
    ...(redisCaFile === undefined ? {} : { redisCaFile }),
    settings: cluster,
    log,
  });
  let stopping = false;
  const release = onStopSignals((signal) => {
    stopping = true;
    log.info({ signal }, 'stopping');
    void coordinator.close();
  });
  try {
    try {
      await coordinator.start();
      tellReady(readyFd);
    } catch (thrown) {
      // A stop in the middle of the start is no failure of it.
      if (!stopping) throw thrown;
    }
    const outcome = await coordinator.closed;
    if (outcome.kind === 'failed' && !stopping) throw outcome.error;
    return 0;
  } finally {
    release();
  }
}

runCommand(main);
