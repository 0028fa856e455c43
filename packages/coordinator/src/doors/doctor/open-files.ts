/** File descriptors of this process, where the system has /proc (Linux). Read by the doctor alone. */
import { readdir, readFile } from 'node:fs/promises';
import type { FileFacts } from './judge-cluster.js';

/** The soft limit in the text of /proc/<pid>/limits; `undefined` where it is unlimited or not in it. */
export function parseFileLimit(text: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  return soft !== undefined && /^\d+$/.test(soft) ? Number(soft) : undefined;
}

/** `undefined` on systems that do not tell. */
export async function readOpenFiles(): Promise<FileFacts | undefined> {
  try {
    const [limits, open] = await Promise.all([
      readFile('/proc/self/limits', 'utf8'),
      readdir('/proc/self/fd'),
    ]);
    const limit = parseFileLimit(limits);
    return { open: open.length, ...(limit === undefined ? {} : { limit }) };
  } catch {
    // No /proc here (macOS, some containers): then there is nothing to judge.
    return undefined;
  }
}
