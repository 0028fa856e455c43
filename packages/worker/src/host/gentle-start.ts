/**
 * The first moments of a runner that loads gently: Node's own start takes a third of a second of a core, which would be
 * taken from the runners that serve. From its first word on the runner sees to its share itself.
 */
import type { Log } from '@troupe/shared';
import { type GentleLoad, takeLittle, takeUsualShare } from '../runner/gentle-load.js';

/** Of the time that a runner has for its first word: without a free moment it gets nothing done while it stands back. */
const gentleShare = 1 / 4;

export interface GentleStart {
  /** The runner has spoken, or has ended. */
  end(): void;
}

/** Takes from a process that was just started, and has to speak within `startMs`, what others need. */
export function startGently(pid: number, gentle: GentleLoad, startMs: number, log: Log): GentleStart {
  const failed = (error: unknown) =>
    log.debug({ err: error, runnerPid: pid }, 'the share of a runner could not be set'); // it has ended
  try {
    takeLittle(pid, gentle);
  } catch (error) {
    failed(error);
  }
  const timer = setTimeout(() => void takeUsualShare(pid, gentle).catch(failed), gentleShare * startMs);
  return { end: () => clearTimeout(timer) };
}
