/** The registry's records in Redis. What a change means stands in `registry/`; here is only where it is kept. */

import type { RecordBackend, RecordWrite, RecordWriteOutcome } from '../registry/record-backend.js';
import { createRecordRegistryStore } from '../registry/record-registry-store.js';
import type { AuditEntry, RegistryStore } from '../registry/registry-store.js';
import type { RedisConnection } from './redis-connection.js';
import { asList, numberAt, pairsOf, textAt } from './redis-reply.js';
import { addStrike } from './scripts/add-strike.js';
import { clearStrikes } from './scripts/clear-strikes.js';
import { readRegistry } from './scripts/read-registry.js';
import { writeRecord } from './scripts/write-record.js';

function toAuditEntry(line: unknown): AuditEntry {
  const entry = asList(line);
  const id = textAt(entry, 0);
  const fields = new Map(pairsOf(entry[1]));
  return {
    id,
    at: new Date(Number(id.split('-')[0])).toISOString(), // the stream's ids are Redis' milliseconds
    actor: fields.get('actor') ?? '',
    action: fields.get('action') ?? '',
    subject: fields.get('subject') ?? '',
    revision: Number(fields.get('revision') ?? 0),
  };
}

class RedisRecordBackend implements RecordBackend {
  readonly #connection: RedisConnection;
  readonly #letGo: () => Promise<void>;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
    this.#letGo = connection.hold();
  }

  async snapshot() {
    const { revision, models, hostSettings } = this.#connection.keys;
    const reply = asList(await this.#connection.run(readRegistry, [revision, models, hostSettings], []));
    return {
      revision: numberAt(reply, 0),
      models: new Map(pairsOf(reply[1])),
      hosts: new Map(pairsOf(reply[2])),
    };
  }

  async revision(): Promise<number> {
    return Number((await this.#connection.read('GET', this.#connection.keys.revision)) ?? 0);
  }

  async readRecord(kind: 'models' | 'hosts', name: string): Promise<string | undefined> {
    const text = await this.#connection.read('HGET', this.#hashOf(kind), name);
    return typeof text === 'string' ? text : undefined;
  }

  async writeRecord(write: RecordWrite): Promise<RecordWriteOutcome> {
    const { revision, audit, epoch } = this.#connection.keys;
    const reply = asList(
      await this.#connection.run(
        writeRecord,
        [this.#hashOf(write.kind), revision, audit, epoch],
        [
          write.name,
          write.expectedRevision,
          write.epoch ?? '',
          write.text ?? '',
          write.actor,
          write.action,
          write.subject,
        ],
      ),
    );
    const outcome = textAt(reply, 0);
    if (outcome === 'conflict') return { kind: 'conflict', revision: numberAt(reply, 1) };
    if (outcome === 'stale') return { kind: 'stale', highestEpoch: numberAt(reply, 1) };
    return { kind: 'written' };
  }

  async audit(count: number): Promise<AuditEntry[]> {
    const { audit } = this.#connection.keys;
    const reply = asList(await this.#connection.read('XREVRANGE', audit, '+', '-', 'COUNT', count));
    return reply.map(toAuditEntry).reverse();
  }

  async addStrike(message: string): Promise<number> {
    const { strikes } = this.#connection.keys;
    return numberAt(asList(await this.#connection.run(addStrike, [strikes], [message])), 1);
  }

  async clearStrikes(message: string): Promise<void> {
    await this.#connection.run(clearStrikes, [this.#connection.keys.strikes], [message]);
  }

  close(): Promise<void> {
    return this.#letGo();
  }

  #hashOf(kind: 'models' | 'hosts'): string {
    return kind === 'models' ? this.#connection.keys.models : this.#connection.keys.hostSettings;
  }
}

/** The registry on a Redis connection; the connection closes when the last store on it was closed. */
export function createRedisRegistryStore(connection: RedisConnection): RegistryStore {
  return createRecordRegistryStore(new RedisRecordBackend(connection));
}
