/** Reads how much memory a process has, where the system tells (Linux). Also used on processes other than our own. */
import { readFile } from 'node:fs/promises';

/** Proportional set size in bytes: what the system would get back. `undefined` where it does not tell. */
export async function readMemoryBytes(pid: number): Promise<number | undefined> {
  return readKilobytes(`/proc/${pid}/smaps_rollup`, 'Pss');
}

/** Resident set size in bytes: cheaper to ask for, shared pages counted in full. */
export async function readResidentBytes(pid: number): Promise<number | undefined> {
  return readKilobytes(`/proc/${pid}/status`, 'VmRSS');
}

async function readKilobytes(path: string, field: string): Promise<number | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text);
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    // Not Linux, not permitted, or the process is gone: then there is nothing to tell.
    return undefined;
  }
}
