/**
 * Finds and starts the entry files of threads and processes beside a module, built (`.js`) or straight from the
 * sources (`.ts`, in tests and development, where the tsx loader runs them).
 */
import { createRequire } from 'node:module';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** The entry `name` in the folder of the module `base` (its `import.meta.url`). */
export function entryUrl(base: string, name: string): URL {
  return new URL(`${name}.${base.endsWith('.ts') ? 'ts' : 'js'}`, base);
}

/** Starts a thread from an entry file. */
export function startThread(entry: URL, options: WorkerOptions): Worker {
  if (!entry.pathname.endsWith('.ts')) return new Worker(entry, options);
  // Loaders registered by `--import` do not reach the threads of Node 20, so the loader is registered inside. Its
  // place is asked for by `require`, the one resolver that every loader leaves as it is, and that names the twin.
  const loader = createRequire(entry)
    .resolve('tsx/esm/api')
    .replace(/\.cjs$/, '.mjs');
  const start = `import(${JSON.stringify(loader)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(entry.href)}); })`;
  return new Worker(start, { ...options, eval: true });
}
