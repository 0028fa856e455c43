/**
 * What the registry needs of a place that keeps records: text by name, compare-and-set on a revision, an audit.
 * Implemented by Redis and by memory; used by `record-registry-store.ts` alone.
 */
import type { AuditEntry } from './registry-store.js';

/** Which records: models by name, or settings by host. */
export type RecordKind = 'models' | 'hosts';

/** A change of one record, decided from the revision that was read. */
export interface RecordWrite {
  readonly kind: RecordKind;
  readonly name: string;
  /** Revision that the record must still have; 0 where there was none. */
  readonly expectedRevision: number;
  /** Refused as stale where a higher epoch was given out. */
  readonly epoch: number | undefined;
  /** JSON with the record's new revision in front; undefined to make the checks only. */
  readonly text: string | undefined;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
}

export type RecordWriteOutcome =
  | { readonly kind: 'written' }
  | { readonly kind: 'conflict'; readonly revision: number }
  | { readonly kind: 'stale'; readonly highestEpoch: number };

/** Checks, record, registry revision and audit line of a write are one atomic step, in this order. */
export interface RecordBackend {
  snapshot(): Promise<{
    revision: number;
    models: ReadonlyMap<string, string>;
    hosts: ReadonlyMap<string, string>;
  }>;
  /** Revision of the registry as a whole: grows by one with every write that has a text. */
  revision(): Promise<number>;
  readRecord(kind: RecordKind, name: string): Promise<string | undefined>;
  writeRecord(write: RecordWrite): Promise<RecordWriteOutcome>;
  audit(count: number): Promise<AuditEntry[]>;
  addStrike(message: string): Promise<number>;
  clearStrikes(message: string): Promise<void>;
  close(): Promise<void>;
}
