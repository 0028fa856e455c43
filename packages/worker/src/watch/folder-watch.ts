/**
 * Keeps the cluster at what a folder of models holds: looks at it at the start and whenever files in it have come to
 * rest, and puts live what is new. What the cluster refuses stays out, and the old version stays live, until the file
 * changes again; what only cannot be done now is tried again. Deleting files changes nothing in the cluster.
 *
 * Started by the host process beside its host; on a connection of the host's. Owns the watcher and its timers.
 */
import { stat } from 'node:fs/promises';
import { asTroupeError, type Log } from '@troupe/shared';
import { watch } from 'chokidar';
import { readModelFolder, type WatchedModel } from './model-folder.js';
import { isPassing, type PutLiveContext, putLive, readArtifact } from './put-live.js';

export interface FolderWatchOptions extends PutLiveContext {
  readonly folder: string;
  readonly log: Log;
  /** How long a file must keep its size before it counts as written, in milliseconds. Default 1,000. */
  readonly restMs?: number;
}

export interface FolderWatch {
  /** Stops; what is under way is given up. Idempotent. */
  stop(): Promise<void>;
}

const defaultRestMs = 1_000;
/** Between two tries of what cannot be done now. */
const retryMs = 5_000;

/** Looks at the folder once, then watches it. Rejects with `config.invalid` where it cannot be read. */
export async function watchFolder(options: FolderWatchOptions): Promise<FolderWatch> {
  const { folder, log } = options;
  const restMs = options.restMs ?? defaultRestMs;
  /** Digest that was dealt with last, by model: live or refused. */
  const settled = new Map<string, string>();
  let said = '';
  let stopped = false;
  let asked = true;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function schedule(inMs: number): void {
    if (stopped) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      running ??= look().finally(() => {
        running = undefined;
        if (asked) schedule(0);
      });
    }, inMs);
  }

  function poke(): void {
    asked = true;
    schedule(0);
  }

  async function look(): Promise<void> {
    asked = false;
    try {
      const { models, problems } = await readModelFolder(folder);
      const text = problems.join('; ');
      if (text !== said && text !== '') log.warn({ folder }, `left out: ${text}`);
      said = text;
      for (const model of models) if (!stopped) await bring(model);
    } catch (error) {
      log.warn({ err: error, folder }, 'the folder of models cannot be read; tried again');
      schedule(retryMs);
    }
  }

  async function bring(file: WatchedModel): Promise<void> {
    const about = { model: file.model, path: file.path };
    let digest: string | undefined;
    try {
      // Seen while another file came to rest: this one may be half written.
      const { mtimeMs } = await stat(file.path);
      if (Math.abs(Date.now() - mtimeMs) < restMs) {
        schedule(restMs);
        return;
      }
      const artifact = await readArtifact(file.path);
      digest = artifact.digest;
      if (settled.get(file.model) === digest) return;
      const { change, version } = await putLive(options, file, artifact);
      settled.set(file.model, digest);
      if (change === 'none') log.info({ ...about, version }, 'this file is live already');
      else if (change === 'first') log.info({ ...about, version }, 'a new model is live');
      else
        log.info({ ...about, version }, `a new version is rolled out: troupe rollout status ${file.model}`);
    } catch (thrown) {
      const error = asTroupeError(thrown);
      if (stopped) return;
      if (isPassing(error)) {
        log.info({ ...about, reason: error.reason }, `not yet, tried again: ${error.message}`);
        schedule(retryMs);
        return;
      }
      if (digest !== undefined) settled.set(file.model, digest);
      log.warn({ ...about, reason: error.reason }, `refused, the old version stays live: ${error.message}`);
    }
  }

  await readModelFolder(folder); // says at the start what is wrong with the folder
  const watcher = watch(folder, {
    depth: 2,
    ignoreInitial: true,
    awaitWriteFinish: { stabilityThreshold: restMs, pollInterval: Math.max(20, Math.min(100, restMs / 2)) },
  });
  watcher.on('all', poke);
  watcher.on('error', (error) => log.warn({ err: error, folder }, 'watching the folder has trouble'));
  schedule(0);

  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await watcher.close();
      await running;
    },
  };
}
