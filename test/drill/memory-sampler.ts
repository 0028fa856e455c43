/** Memory of processes as the system counts it (Linux), read from outside, for drills that hold a promise about it. */
import { readFileSync } from 'node:fs';

/** Proportional set size of a process in bytes; 0 where it is gone. */
export function proportionalBytes(pid: number): number {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it ended in between
  }
}

export interface MemorySampler {
  /** The highest sum that was seen, and how many samples were taken. */
  readonly peakBytes: number;
  readonly samples: number;
  stop(): void;
}

/** Adds up what some processes take, again and again. The caller stops it. */
export function startMemorySampler(pids: () => readonly number[], everyMs = 100): MemorySampler {
  let peakBytes = 0;
  let samples = 0;
  const sample = () => {
    samples += 1;
    peakBytes = Math.max(
      peakBytes,
      pids().reduce((sum, pid) => sum + proportionalBytes(pid), 0),
    );
  };
  const timer = setInterval(sample, everyMs);
  return {
    get peakBytes() {
      return peakBytes;
    },
    get samples() {
      return samples;
    },
    stop() {
      sample();
      clearInterval(timer);
    },
  };
}
