/**
 * What a drill is: a run against a whole cluster that holds a promise of Troupe's to numbers. `main.ts` calls it by its
 * name and owns what surrounds it; tests call it in its short form. A drill starts no servers and prints nothing itself.
 */
import type { Progress } from '../../deploy/local/progress.mjs';
import type { ClusterOptions, TestCluster } from '../harness/cluster.js';

/** What a drill works with. */
export interface DrillContext {
  readonly progress: Progress;
  /** Aborts at Ctrl-C: whatever waits ends then. */
  readonly signal: AbortSignal;
  /** The form for tests: few repetitions, the same promises. */
  readonly short: boolean;
  /** A cluster on servers of our own or those given by NATS_URL and REDIS_URL; ended behind the drill. */
  readonly startCluster: (options: ClusterOptions) => Promise<TestCluster>;
}

/** What came of a drill. */
export interface DrillOutcome {
  /** Each broken promise in plain words; none: it was kept. */
  readonly faults: readonly string[];
  /** Figures of the drill's own, for the line of JSON. */
  readonly figures: Readonly<Record<string, unknown>>;
}

export type Drill = (context: DrillContext) => Promise<DrillOutcome>;

/** The line of JSON at the end. */
export function outcomeLine(name: string, { faults, figures }: DrillOutcome, seconds: number): string {
  return JSON.stringify({
    drill: name,
    ok: faults.length === 0,
    ...figures,
    ...(faults.length === 0 ? {} : { faults: faults.slice(0, 20), faultCount: faults.length }),
    seconds,
  });
}
