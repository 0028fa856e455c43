/** The routing entry of a model: what the leader publishes and every door reads (wire format, JSON in the bucket). */
import type { Signature } from '../protocol/signature.js';

/** A version in the table. */
export interface RouteVersion {
  readonly signature: Signature;
  /** Workers that serve it now. */
  readonly serving: number;
  /** Workers that are wanted. */
  readonly wanted: number;
  /**
   * `ready`: at least one worker serves it (or did so a moment ago and is coming back: requests wait in the queue);
   * `loading`: placed, not there yet, requests wait; `cold`: not loaded until somebody asks for it: requests wait, and
   * their door sends a demand; `unplaced`: no room, requests are refused with `reason`.
   */
  readonly state: 'ready' | 'loading' | 'cold' | 'unplaced' | 'failed';
  readonly reason?: string;
  /** What is short, where that is not a slot (`unplaced`). */
  readonly shortOf?: 'memory';
}

/** How to route requests for a model. Readers ignore an entry with a lower epoch than one they have seen. */
export interface RoutingEntry {
  readonly epoch: number;
  readonly model: string;
  readonly labels: Readonly<Record<string, number>>;
  /** Where requests without version, label or sticky key go; weights need not sum to anything. */
  readonly weights: readonly { readonly version: number; readonly weight: number }[];
  /** By decimal version. */
  readonly versions: Readonly<Record<string, RouteVersion>>;
}
