/**
 * The registry in memory: for tests and for anything that runs without servers. The honest twin of the one in Redis:
 * records are kept as the same JSON text, and each write is one step. Nothing survives the process.
 */
import { TroupeError } from '../errors/troupe-error.js';
import type { RecordBackend, RecordKind, RecordWrite, RecordWriteOutcome } from './record-backend.js';
import { createRecordRegistryStore } from './record-registry-store.js';
import type { AuditEntry, RegistryStore } from './registry-store.js';

/** Lines that the audit keeps, as in Redis. */
const auditLimit = 10_000;

export interface MemoryRegistryOptions {
  /** The highest epoch given out, against which guards are checked; as a rule that of the memory lease store. */
  readonly highestEpoch?: () => number;
  /** Clock of the audit in milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

class MemoryRecordBackend implements RecordBackend {
  readonly #options: MemoryRegistryOptions;
  readonly #records = { models: new Map<string, string>(), hosts: new Map<string, string>() };
  readonly #strikes = new Map<string, number>();
  #audit: AuditEntry[] = [];
  #revision = 0;
  #closed = false;

  constructor(options: MemoryRegistryOptions) {
    this.#options = options;
  }

  async snapshot() {
    this.#open();
    const { models, hosts } = this.#records;
    return { revision: this.#revision, models: new Map(models), hosts: new Map(hosts) };
  }

  async revision(): Promise<number> {
    this.#open();
    return this.#revision;
  }

  async readRecord(kind: RecordKind, name: string): Promise<string | undefined> {
    this.#open();
    return this.#records[kind].get(name);
  }

  async writeRecord(write: RecordWrite): Promise<RecordWriteOutcome> {
    this.#open();
    const highestEpoch = this.#options.highestEpoch?.() ?? 0;
    if (write.epoch !== undefined && write.epoch < highestEpoch) return { kind: 'stale', highestEpoch };
    const records = this.#records[write.kind];
    const revision = Number(/^\{"revision":(\d+)/.exec(records.get(write.name) ?? '')?.[1] ?? 0);
    if (revision !== write.expectedRevision) return { kind: 'conflict', revision };
    if (write.text === undefined) return { kind: 'written' };
    records.set(write.name, write.text);
    this.#revision += 1;
    const at = this.#options.now?.() ?? Date.now();
    const { actor, action, subject } = write;
    this.#audit.push({
      id: `${at}-${this.#revision}`,
      at: new Date(at).toISOString(),
      actor,
      action,
      subject,
      revision: this.#revision,
    });
    if (this.#audit.length > auditLimit) this.#audit = this.#audit.slice(-auditLimit);
    return { kind: 'written' };
  }

  async audit(count: number): Promise<AuditEntry[]> {
    this.#open();
    return this.#audit.slice(-count);
  }

  async addStrike(message: string): Promise<number> {
    this.#open();
    const strikes = (this.#strikes.get(message) ?? 0) + 1;
    this.#strikes.set(message, strikes);
    return strikes;
  }

  async clearStrikes(message: string): Promise<void> {
    this.#open();
    this.#strikes.delete(message);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #open(): void {
    if (this.#closed) throw new TroupeError('redis.unreachable', 'the memory registry was closed');
  }
}

/** An empty registry of this process alone. */
export function createMemoryRegistryStore(options: MemoryRegistryOptions = {}): RegistryStore {
  return createRecordRegistryStore(new MemoryRecordBackend(options));
}
