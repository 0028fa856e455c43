/** Memory and processor time of processes, and the kernel's clock for them. Linux only, as `/proc` is. */
import { readFileSync } from 'node:fs';

const pageBytes = 4_096;
/** `USER_HZ`: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Resident memory in bytes; `undefined` where the process has gone. */
export function residentBytes(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * pageBytes;
  } catch {
    return undefined; // gone
  }
}

/** Processor time since its start, user and system, in milliseconds; 0 where the process has gone. */
export function processorMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold blanks and brackets itself, so fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
  } catch {
    return 0; // gone
  }
}
