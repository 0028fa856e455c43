/**
 * The first moments of a runner that loads gently: Node's own start takes a third of a second of a core, which would be
 * taken from the runners that serve. From its first word on the runner sees to its priority itself.
 */
import { getPriority } from 'node:os';
import type { Log } from '@troupe/shared';
import { lowerPriority, raisePriority } from '../runner/gentle-load.js';

/** On a machine without a free moment the lowest priority gets nothing done: from then on it starts at the usual one. */
const gentleMs = 1_500;

export interface GentleStart {
  /** The runner has spoken, or has ended. */
  end(): void;
}

/** Lowers the priority of a process that was just started. */
export function startGently(pid: number, log: Log): GentleStart {
  const attempt = (act: () => void) => {
    try {
      act();
    } catch (error) {
      log.debug({ err: error, runnerPid: pid }, 'the priority of a runner could not be set'); // it has ended
    }
  };
  attempt(() => lowerPriority(pid));
  const timer = setTimeout(() => attempt(() => raisePriority(pid, getPriority())), gentleMs);
  return { end: () => clearTimeout(timer) };
}
