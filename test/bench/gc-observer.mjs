/**
 * Loaded into every process of a cluster by `--import`: notes each garbage collection's pause of the main thread, and adds
 * those of the last second to `$BENCH_GC_FOLDER/<pid>.txt`, one for each line. Keeps nothing itself, and no process alive.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.BENCH_GC_FOLDER;
if (folder !== undefined && isMainThread) {
  /** @type {number[]} In milliseconds. */
  let pauses = [];
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.push(duration);
  });
  observer.observe({ entryTypes: ['gc'] });
  setInterval(() => {
    try {
      appendFileSync(join(folder, `${process.pid}.txt`), pauses.map((pause) => `${pause}\n`).join(''));
    } catch {
      // the folder goes with the benchmark, maybe before this process
    }
    pauses = [];
  }, 1_000).unref();
}
