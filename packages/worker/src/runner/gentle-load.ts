/** Lowers and raises the priority of this process, every thread of it: on Linux each thread has its own. */
import { readdirSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';

function setAll(priority: number): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), priority);
    } catch (error) {
      // A thread that has ended meanwhile; whatever else is wrong shows in raising.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
    }
  }
}

/** Lowest from here on, also for threads that start from now; returns the priority of before. */
export function lowerPriority(): number {
  const before = getPriority();
  setAll(constants.priority.PRIORITY_LOW);
  return before;
}

/** Throws where the system does not let it. */
export function raisePriority(before: number): void {
  setAll(before);
}
