/**
 * Entry of a thread that ends its process when the process that forked it is gone. For the trial, whose main thread
 * may be inside a run that never ends and so hears nothing of a closed channel.
 */
import { workerData } from 'node:worker_threads';

const watchEveryMs = 500;

/** `workerData` of this thread. */
export interface ParentWatchSource {
  readonly parentPid: number;
}

const { parentPid } = workerData as ParentWatchSource;
setInterval(() => {
  // Whoever loses its parent gets another one.
  if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
}, watchEveryMs);
