/**
 * Whether this system lets a process raise its priority again after it has lowered it: tried once, in a throw-away
 * child, as the host starts. Where it does, a version on probation loads at the lowest priority with all its threads,
 * else at the usual one with a single thread.
 */
import { execFile } from 'node:child_process';
import { childEnvironment } from '@troupe/shared';

/** What a runner is told for a load that takes little from the others. */
export interface GentleLoad {
  /** At the lowest priority until it is warm. */
  readonly loadsGently?: boolean;
  readonly intraOpThreads?: number;
}

const limitMs = 5_000;
const attempt =
  'const os = require("node:os"); const before = os.getPriority(); os.setPriority(19); os.setPriority(before);';

/** Resolves with the finding; never rejects. Only Linux sets priorities by thread, as the runner does. */
export function tryRaisingPriority(): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(false);
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['-e', attempt],
      { timeout: limitMs, killSignal: 'SIGKILL', env: childEnvironment({}) },
      (error) => resolve(error === null),
    );
  });
}

export function planGentleLoad(raisesPriority: boolean): GentleLoad {
  return raisesPriority ? { loadsGently: true } : { intraOpThreads: 1 };
}
