/**
 * The host process: `bin/troupe-worker.js` and tests start it. Tells its supervisor `ready` on TROUPE_READY_FD once it
 * is registered and takes commands. Exit codes: 0 stopped as asked, 1 failed (one line on standard error), 2 wrong
 * usage, 130 ended at once by a second Ctrl-C.
 */
import { closeSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { asTroupeError, createLog, resolveConfiguration, runCommand } from '@troupe/shared';
import { createHost, type Host } from './host.js';
import { readHostArguments, resolveHostSettings } from './host-command-line.js';
import { onStopSignals } from './stop-signals.js';

/** For the kills of an abort to be seen and what was held to be handed back, in milliseconds. */
const abortLimitMs = 2_000;

function tellReady(fd: number | undefined): void {
  if (fd === undefined) return;
  try {
    writeSync(fd, 'ready\n');
    closeSync(fd);
  } catch {
    // The supervisor has gone, or gave no such descriptor: nobody waits for the word.
  }
}

function abort(host: Host): void {
  setTimeout(() => process.exit(130), abortLimitMs).unref();
  void host.close().then(() => process.exit(130));
}

async function main(): Promise<number> {
  const args = readHostArguments(process.argv.slice(2));
  const configuration = resolveConfiguration({ flags: args.flags, folder: process.cwd() });
  const own = resolveHostSettings(configuration);
  if (args.printConfig) {
    process.stdout.write(`${configuration.describe()}\n`);
    return 0;
  }
  const { natsUrl, natsAccess, redisUrl, redisCaFile, cluster, memoryBudgets, readyFd } = configuration;
  const logLevel = configuration.logLevel ?? 'info';
  const log = createLog('troupe-host', logLevel);
  const host = createHost({
    name: own.name,
    devices: own.devices,
    ...(own.slots === undefined ? {} : { slots: own.slots }),
    dataDir: resolve(own.dataDir),
    ...(own.watch === undefined ? {} : { watch: resolve(own.watch) }),
    natsUrl,
    natsAccess,
    redisUrl,
    ...(redisCaFile === undefined ? {} : { redisCaFile }),
    settings: cluster,
    ...(memoryBudgets === undefined ? {} : { memoryBudgets }),
    logLevel,
    log,
  });
  let stopping = false;
  onStopSignals(
    (signal) => {
      stopping = true;
      log.info({ signal }, 'stopping');
      void host.drain().then(() => host.close());
    },
    () => abort(host),
  );
  try {
    await host.start();
    tellReady(readyFd);
    const outcome = await host.closed;
    if (outcome.kind === 'failed') throw outcome.error;
    return 0;
  } catch (thrown) {
    if (!stopping || asTroupeError(thrown).reason !== 'client.closed') throw thrown;
    return 0;
  }
}

runCommand(main);
