/**
 * Which process a pid really is: pids are used again, so a recorded one counts only together with its start time
 * and the boot that it belongs to. Linux's /proc; elsewhere nothing is recorded and nothing is ended by record.
 */
import { readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one of the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat, in clock ticks since boot. */
  readonly startTicks: string;
  readonly bootId: string;
}

function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined; // no Linux: identities do not exist here
  }
}

/** Identity of a running process; `undefined` where there is none, or where the system does not tell. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const bootId = readBootId();
  if (bootId === undefined) return undefined;
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // no such process
  }
  // The name in parentheses may hold blanks and parentheses: fields count from behind the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  if (startTicks === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTicks, bootId };
}

/** Whether exactly this process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid);
  return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Reads an identity from untrusted JSON; `undefined` where it is none. */
export function parseIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startTicks, bootId } = value as Partial<ProcessIdentity>;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 2) return undefined;
  if (typeof startTicks !== 'string' || typeof bootId !== 'string') return undefined;
  return { pid, startTicks, bootId };
}
