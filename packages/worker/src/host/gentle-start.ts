/**
 * The first moments of a runner that loads gently: Node's own start takes a third of a second of a core, which would be
 * taken from the runners that serve. From its first word on the runner sees to its share itself.
 */
import type { Log } from '@troupe/shared';
import { type GentleLoad, takeLittle, takeUsualShare } from '../runner/gentle-load.js';

/** On a machine without a free moment it gets nothing done: from then on it starts as any other process. */
const gentleMs = 1_500;

export interface GentleStart {
  /** The runner has spoken, or has ended. */
  end(): void;
}

/** Takes from a process that was just started what others need. */
export function startGently(pid: number, gentle: GentleLoad, log: Log): GentleStart {
  const failed = (error: unknown) =>
    log.debug({ err: error, runnerPid: pid }, 'the share of a runner could not be set'); // it has ended
  try {
    takeLittle(pid, gentle);
  } catch (error) {
    failed(error);
  }
  const timer = setTimeout(() => void takeUsualShare(pid, gentle).catch(failed), gentleMs);
  return { end: () => clearTimeout(timer) };
}
