/** What an examination of the cluster found (wire format: `cluster.doctor`, `troupe doctor --json`). */

/** How grave a finding is: `fault` keeps something from working, `warning` will or may. */
export type FindingState = 'ok' | 'warning' | 'fault';

/** One finding of one check; a check has one or more. */
export interface Finding {
  /** Dotted name of the check: `nats.version`. */
  readonly check: string;
  readonly state: FindingState;
  /** In plain words. */
  readonly found: string;
  /** How to mend it; also where all is well and something newer or larger would be better. */
  readonly advice?: string;
}
