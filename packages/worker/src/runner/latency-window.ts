/**
 * Percentiles of latencies over the last minute, in constant space: a histogram for each five seconds, with
 * buckets that grow by 10 % each, so that a percentile is off by no more than that.
 *
 * A fresh process is slow until its code is compiled, which says nothing of the model: what it did until then is shown,
 * is no sample to judge by, and is forgotten once it has settled.
 */

const sliceMs = 5_000;
const sliceCount = 12;
const smallestMs = 0.01;
const growth = Math.log(1.1);
/** Up to some 30 minutes. */
const bucketCount = 200;
/** It has settled after so long and so many requests, or after the longer time however few they were. */
const settle = { ms: 1_000, requests: 1_000, atMostMs: 10_000 } as const;

export interface LatencyWindow {
  record(latencyMs: number, nowMs: number): void;
  /** The latency that this share of requests did not exceed; `undefined` where there was none. */
  percentile(ratio: number, nowMs: number): number | undefined;
  /** Requests of the last minute, by which it may be judged. */
  samples(nowMs: number): number;
}

export function createLatencyWindow(): LatencyWindow {
  const slices = Array.from({ length: sliceCount }, () => ({
    period: Number.NEGATIVE_INFINITY,
    counts: new Uint32Array(bucketCount),
  }));

  const recentSlices = (nowMs: number) => {
    const oldest = Math.floor(nowMs / sliceMs) - sliceCount + 1;
    return slices.filter(({ period }) => period >= oldest);
  };
  const countAll = (recent: typeof slices) => {
    let total = 0;
    for (const { counts } of recent) for (const count of counts) total += count;
    return total;
  };

  let settled = false;
  let firstMs: number | undefined;
  let early = 0;
  const settleAt = (nowMs: number) => {
    firstMs ??= nowMs;
    early += 1;
    const sinceMs = nowMs - firstMs;
    settled = (sinceMs >= settle.ms && early > settle.requests) || sinceMs >= settle.atMostMs;
    if (settled) for (const slice of slices) slice.period = Number.NEGATIVE_INFINITY;
  };

  return {
    record(latencyMs, nowMs) {
      if (!settled) settleAt(nowMs);
      const period = Math.floor(nowMs / sliceMs);
      const slice = slices[period % sliceCount];
      if (slice === undefined) return;
      if (slice.period !== period) {
        slice.period = period;
        slice.counts.fill(0);
      }
      const bucket = Math.ceil(Math.log(Math.max(latencyMs, smallestMs) / smallestMs) / growth);
      const index = Math.min(bucket, bucketCount - 1);
      slice.counts[index] = (slice.counts[index] ?? 0) + 1;
    },
    percentile(ratio, nowMs) {
      const recent = recentSlices(nowMs);
      const total = countAll(recent);
      if (total === 0) return undefined;
      let left = Math.max(1, Math.ceil(total * ratio));
      for (let bucket = 0; bucket < bucketCount; bucket += 1) {
        for (const { counts } of recent) left -= counts[bucket] ?? 0;
        if (left <= 0) return smallestMs * Math.exp(bucket * growth);
      }
      return undefined;
    },
    samples: (nowMs) => (settled ? countAll(recentSlices(nowMs)) : 0),
  };
}
