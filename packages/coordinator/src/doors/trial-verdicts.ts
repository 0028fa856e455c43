/**
 * Remembers what trials found, so that one file under many names is tried once. Asked by `registration.ts` before a host
 * is. Only verdicts of models that passed are kept: what was refused, or did not come about, is tried again.
 */
import { createHash } from 'node:crypto';
import type { TrialRequest, TrialVerdict } from '@troupe/shared';

export interface TrialVerdicts {
  /**
   * The verdict on equal content under an equal runtime, be it known, under way or yet to be found by `tryIt`. Rejects
   * as `tryIt` does, for all who wait for it.
   */
  find(trial: TrialRequest, runtime: string, tryIt: () => Promise<TrialVerdict>): Promise<TrialVerdict>;
}

/** Verdicts are small: names and shapes. */
const defaultLimit = 1_000;

/** Everything that a verdict depends on. Golden cases may be large: only their hash is kept. */
function keyOf({ digest, golden, batching, limits }: TrialRequest, runtime: string): string {
  return createHash('sha256')
    .update(JSON.stringify([digest, golden, batching, limits, runtime]))
    .digest('base64');
}

/** Keeps at most `limit` verdicts; those that were asked for longest ago go first. */
export function createTrialVerdicts(limit = defaultLimit): TrialVerdicts {
  const known = new Map<string, TrialVerdict>();
  const underWay = new Map<string, Promise<TrialVerdict>>();

  function keep(key: string, verdict: TrialVerdict): void {
    known.delete(key);
    known.set(key, verdict);
    const [oldest] = known.keys();
    if (known.size > limit && oldest !== undefined) known.delete(oldest);
  }

  return {
    async find(trial, runtime, tryIt) {
      const key = keyOf(trial, runtime);
      const before = known.get(key);
      if (before !== undefined) {
        keep(key, before);
        return before;
      }
      let trying = underWay.get(key);
      if (trying === undefined) {
        trying = tryIt().finally(() => underWay.delete(key));
        underWay.set(key, trying);
      }
      const verdict = await trying;
      keep(key, verdict);
      return verdict;
    },
  };
}
