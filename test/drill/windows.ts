/** Requests of a load by time, and what their latencies come to. Pure. */
import type { LoadResults } from './steady-load.js';

/** From and to, on the machine's monotonic clock, in milliseconds. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** Indices of the requests that were open at some moment of the span. */
export function openBetween(results: Pick<LoadResults, 'count' | 'startMs' | 'endMs'>, span: Span): number[] {
  const found: number[] = [];
  for (let at = 0; at < results.count; at += 1) {
    const start = results.startMs[at] ?? 0;
    const end = results.endMs[at] ?? 0;
    if (start <= span.endMs && end >= span.startMs) found.push(at);
  }
  return found;
}

/** Indices of the last `count` requests that were answered before the span began. */
export function justBefore(
  results: Pick<LoadResults, 'count' | 'startMs' | 'endMs'>,
  span: Span,
  count: number,
): number[] {
  const found: number[] = [];
  for (let at = results.count - 1; at >= 0 && found.length < count; at -= 1) {
    const end = results.endMs[at] ?? 0;
    if (end > 0 && end < span.startMs) found.push(at);
  }
  return found;
}

/** By nearest rank; 0 where there is nothing. */
export function percentile(values: readonly number[], ratio: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * ratio) - 1)] ?? 0;
}

export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}
