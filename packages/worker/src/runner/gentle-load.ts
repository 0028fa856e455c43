/**
 * Lowers and raises the priority of a process, every thread of it: on Linux each thread has its own. A host does so to a
 * runner that it has just started, the runner to itself.
 */
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

function setAll(pid: number, priority: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      setPriority(Number(thread), priority);
    } catch (error) {
      // A thread that has ended meanwhile; whatever else is wrong shows in raising.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
    }
  }
}

/** Threads that start from here on inherit it. */
export function lowerPriority(pid: number): void {
  setAll(pid, constants.priority.PRIORITY_LOW);
}

/** Throws where the system does not let it. */
export function raisePriority(pid: number, priority: number): void {
  setAll(pid, priority);
}
