/** What Linux gives a process of the processor, as /proc tells it. */
import { readdirSync, readFileSync } from 'node:fs';

/** The nice value of every thread. */
export const threadPriorities = (pid: number) => threadFields(pid, 16);

/** The scheduling policy of every thread: 0 for the usual one, 5 for `SCHED_IDLE`. */
export const threadPolicies = (pid: number) => threadFields(pid, 38);

/** Of /proc/<pid>/task/<tid>/stat, counted from behind the name. */
function threadFields(pid: number, index: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      return [Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[index])];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

/** The nice value of its session; `undefined` where this kernel does not share the processor among sessions. */
export function sessionShare(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/autogroup`, 'utf8').split(' nice ')[1]);
  } catch {
    return undefined;
  }
}
