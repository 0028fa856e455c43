/**
 * Loaded into every process of a cluster by `--import`: notes each garbage collection's pause of the main thread, and writes
 * them to `$BENCH_GC_FOLDER/<pid>.json` every second. Keeps no process alive.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.BENCH_GC_FOLDER;
if (folder !== undefined && isMainThread) {
  /** @type {number[]} In milliseconds. */
  const pauses = [];
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.push(duration);
  });
  observer.observe({ entryTypes: ['gc'] });
  const [, program = ''] = process.argv;
  setInterval(() => {
    try {
      writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify({ program, pauses }));
    } catch {
      // the folder goes with the benchmark, maybe before this process
    }
  }, 1_000).unref();
}
