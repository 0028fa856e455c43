/**
 * Whether what a new version shows under live requests speaks against it. Pure: figures in, a finding out. The figures
 * are gathered by `figure-tally.ts`.
 *
 * E1  Errors: of at least 50 requests, 5 of 100 more failed than on stable. Counted are only requests that failed here
 *     and that stable answered when they were repeated there; so stable's own share among the very same requests is none.
 * E2  Latency: p99 above 3 × stable's, each over at least 200 requests of the last minute, and by 5 ms at least: below
 *     that it is the machine's noise. A runner's samples begin once it has settled: the slow first runs of a fresh process
 *     condemn nobody. What was found must still hold when as many requests again were answered, 500 at most: on a busy model
 *     each further second fills its queue.
 */
import type { VersionFigures } from '@troupe/shared';

/** The bounds of E1 and E2. */
export const evidenceBounds = {
  minRequests: 50,
  errorRatio: 0.05,
  minSamples: 200,
  p99Factor: 3,
  p99MarginMs: 5,
  maxConfirmRequests: 500,
} as const;

/** A latency that was found too long once: the candidate's requests at which it is judged again. */
export interface LatencySuspicion {
  readonly confirmAtRequests: number;
}

export type EvidenceVerdict =
  | { readonly kind: 'fine' }
  | { readonly kind: 'suspect'; readonly suspicion: LatencySuspicion }
  | { readonly kind: 'bad'; readonly by: 'errors' | 'latency'; readonly text: string };

/** Judges; `suspicion` is what the last call gave. */
export function judgeEvidence(
  candidate: VersionFigures,
  stable: VersionFigures,
  suspicion: LatencySuspicion | undefined,
): EvidenceVerdict {
  const { errors, requests } = candidate;
  if (requests >= evidenceBounds.minRequests) {
    const ratio = errors / requests - (stable.requests > 0 ? stable.errors / stable.requests : 0);
    if (ratio >= evidenceBounds.errorRatio) {
      return {
        kind: 'bad',
        by: 'errors',
        text: `${errors} of ${requests} requests failed on it and were answered by stable (${percent(errors / requests)})`,
      };
    }
  }
  if (!isTooSlow(candidate, stable)) return { kind: 'fine' };
  const samples = candidate.samples ?? 0;
  if (suspicion === undefined) {
    return {
      kind: 'suspect',
      suspicion: { confirmAtRequests: requests + Math.min(samples, evidenceBounds.maxConfirmRequests) },
    };
  }
  if (requests < suspicion.confirmAtRequests) return { kind: 'suspect', suspicion };
  return {
    kind: 'bad',
    by: 'latency',
    text: `its p99 is ${milliseconds(candidate.p99Ms)} over ${samples} requests, stable's is ${milliseconds(stable.p99Ms)}`,
  };
}

function isTooSlow(candidate: VersionFigures, stable: VersionFigures): boolean {
  const { minSamples, p99Factor, p99MarginMs } = evidenceBounds;
  if (candidate.p99Ms === undefined || stable.p99Ms === undefined) return false;
  if ((candidate.samples ?? 0) < minSamples || (stable.samples ?? 0) < minSamples) return false;
  return candidate.p99Ms > p99Factor * stable.p99Ms && candidate.p99Ms >= stable.p99Ms + p99MarginMs;
}

const percent = (ratio: number) => `${(ratio * 100).toFixed(1)} %`;
const milliseconds = (ms: number | undefined) => `${(ms ?? 0).toFixed(1)} ms`;
