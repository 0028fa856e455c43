/**
 * What this system lets a process take back after it has given up its share of the processor: tried once, in throw-away
 * children, as the host starts. By that a version on probation loads: on all its threads where it can be told to stand
 * back behind all others until it is warm, else on a single one.
 */
import { execFile } from 'node:child_process';
import { getPriority } from 'node:os';
import { childEnvironment } from '@troupe/shared';
import type { GentleLoad } from '../runner/gentle-load.js';

/** What a runner is told for a load that takes little from the others. */
export interface GentlePlan {
  readonly loadsGently: GentleLoad;
  readonly intraOpThreads?: number;
}

const limitMs = 5_000;
const byPolicy = 'chrt --idle --pid 0 $$ && chrt --other --pid 0 $$';
const byNice =
  'const os = require("node:os"); const before = os.getPriority(); os.setPriority(19); os.setPriority(before);';

/** Resolves with the finding; never rejects. Only Linux has either. */
export async function tryGentleLoads(): Promise<GentleLoad['by']> {
  if (process.platform !== 'linux') return 'session';
  const [policy, nice] = await Promise.all([
    succeeds('/bin/sh', ['-c', byPolicy]),
    succeeds(process.execPath, ['-e', byNice]),
  ]);
  if (policy) return 'idle_policy';
  return nice ? 'nice' : 'session';
}

function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: limitMs, killSignal: 'SIGKILL', env: childEnvironment({}) }, (error) =>
      resolve(error === null),
    );
  });
}

export function planGentleLoad(by: GentleLoad['by']): GentlePlan {
  switch (by) {
    case 'idle_policy':
      return { loadsGently: { by } };
    case 'nice':
      return { loadsGently: { by, thenPriority: getPriority() } };
    case 'session':
      return { loadsGently: { by }, intraOpThreads: 1 };
  }
}
