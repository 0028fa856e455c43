/**
 * The routing table in a file-backed key-value bucket: the leader publishes entries by compare-and-set, every door
 * reads them. Readers hear of changes and read again what changed. After each reconnect and at a slow tick they ask for
 * what was written since, which costs the same however many models there are.
 */
import { type KV, type KvEntry, type Msg, StorageType } from 'nats';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import type { RoutingEntry } from '../routing/routing-entry.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';
import { declareReplicated } from './stream-replicas.js';

const textEncoder = new TextEncoder();
const refreshEveryMs = 10_000;
const publishAttempts = 5;
/** Entries asked for together when everything is read. */
const readsAtOnce = 32;

/** Put by the library into a write that expects a revision. */
const expectedHeader = 'Nats-Expected-Last-Subject-Sequence';
/** Between the reads after a change was heard of, in milliseconds: copies on several servers take a moment. */
const readAgainMs: readonly number[] = [10, 30, 100, 300, 1_000];

const views = (link: NatsLink) => link.connection.jetstream({ timeout: 5_000 }).views;

/** Declares the bucket; one that is there is left as it is. Rejects with what the library throws. */
export async function declareRoutingBucket(link: NatsLink): Promise<void> {
  await declareReplicated(link, async (replicas) => {
    try {
      await views(link).kv(link.subjects.routesBucket, {
        history: 1,
        storage: StorageType.File,
        description: 'Troupe routing table',
        replicas,
      });
    } catch (error) {
      // Another coordinator was faster, with another number of copies.
      if (jetStreamCode(error) !== JetStreamCode.StreamNameInUse) throw error;
    }
  });
}

/**
 * The bucket as it is there, or will be: nothing is declared. It reads from the stream's leader; other copies may be
 * behind.
 */
function bindBucket(link: NatsLink): Promise<KV> {
  return views(link).kv(link.subjects.routesBucket, { bindOnly: true });
}

async function openDeclared(link: NatsLink): Promise<KV> {
  await declareRoutingBucket(link);
  return bindBucket(link);
}

/** A routing entry from stored bytes; `undefined` where they are none. */
function parseEntry(stored: KvEntry): RoutingEntry | undefined {
  if (stored.operation !== 'PUT') return undefined;
  try {
    const entry = stored.json<RoutingEntry>();
    return typeof entry.epoch === 'number' && typeof entry.model === 'string' ? entry : undefined;
  } catch {
    // Somebody else's bytes in our bucket; the leader's next publish replaces them.
    return undefined;
  }
}

/** The leader's side. */
export interface RoutingPublisher {
  /** Writes an entry unless one of a higher epoch is there; false where it is. */
  publish(entry: RoutingEntry): Promise<boolean>;
  /** Removes a model's entry unless one of a higher epoch is there. */
  remove(model: string, epoch: number): Promise<boolean>;
  /** Every entry that is there. */
  readAll(): Promise<RoutingEntry[]>;
  /** Highest epoch in the bucket, 0 where it is empty. */
  highestEpoch(): Promise<number>;
}

/** Opens the leader's side of the routing table. */
export function createRoutingPublisher(link: NatsLink): RoutingPublisher {
  let bucket: Promise<KV> | undefined;

  async function withBucket<T>(call: (kv: KV) => Promise<T>): Promise<T> {
    bucket ??= openDeclared(link);
    try {
      return await call(await bucket);
    } catch (error) {
      bucket = undefined;
      throw asTroupeError(error, 'nats.failed');
    }
  }

  async function compareAndSet(
    model: string,
    epoch: number,
    write: (kv: KV, revision: number) => Promise<unknown>,
  ) {
    return withBucket(async (kv) => {
      for (let attempt = 1; ; attempt += 1) {
        const stored = await kv.get(model);
        const current = stored === null ? undefined : parseEntry(stored);
        if (current !== undefined && current.epoch > epoch) return false;
        try {
          await write(kv, stored?.revision ?? 0);
          return true;
        } catch (error) {
          if (jetStreamCode(error) !== JetStreamCode.WrongLastSequence || attempt >= publishAttempts)
            throw error;
        }
      }
    });
  }

  async function readAll(): Promise<RoutingEntry[]> {
    return (await withBucket((kv) => readBucket(link, kv))).entries;
  }

  return {
    publish: (entry) =>
      compareAndSet(entry.model, entry.epoch, (kv, revision) =>
        kv.put(entry.model, textEncoder.encode(JSON.stringify(entry)), { previousSeq: revision }),
      ),
    remove: (model, epoch) =>
      compareAndSet(model, epoch, (kv, revision) =>
        kv.delete(model, revision > 0 ? { previousSeq: revision } : {}),
      ),
    readAll,
    async highestEpoch() {
      return (await readAll()).reduce((highest, entry) => Math.max(highest, entry.epoch), 0);
    },
  };
}

/** How far a bucket was read: all writes up to a sequence of the stream of this creation. */
interface ReadMark {
  readonly created: string;
  readonly sequence: number;
}

/**
 * Every entry. The keys come from the stream's subjects: the iterator of the library's `keys()` drops what it has not
 * handed out yet when its listing ends, so a reader that awaits between two keys sees only the first.
 */
async function readBucket(
  link: NatsLink,
  kv: KV,
): Promise<{ readonly entries: RoutingEntry[]; readonly mark: ReadMark }> {
  const entries: RoutingEntry[] = [];
  const { routesBucket } = link.subjects;
  const jsm = await streamManager(link);
  const { created, state } = await jsm.streams.info(`KV_${routesBucket}`, { subjects_filter: '>' });
  const prefix = `$KV.${routesBucket}.`;
  const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
  for (let start = 0; start < keys.length; start += readsAtOnce) {
    const stored = await Promise.all(keys.slice(start, start + readsAtOnce).map((key) => kv.get(key)));
    for (const one of stored) {
      const entry = one === null ? undefined : parseEntry(one);
      if (entry !== undefined) entries.push(entry);
    }
  }
  return { entries, mark: { created, sequence: state.last_seq } };
}

/**
 * The models that were written behind a mark, deletions included, and the new mark; `undefined` where that cannot be
 * told: another bucket by the name, or more than one would ask for one by one.
 */
async function changedSince(
  link: NatsLink,
  mark: ReadMark,
): Promise<{ readonly models: ReadonlySet<string>; readonly mark: ReadMark } | undefined> {
  const stream = `KV_${link.subjects.routesBucket}`;
  const prefix = `$KV.${link.subjects.routesBucket}.`;
  const jsm = await streamManager(link);
  const { created, state } = await jsm.streams.info(stream);
  if (created !== mark.created || state.last_seq < mark.sequence) return undefined;
  const models = new Set<string>();
  let { sequence } = mark;
  while (sequence < state.last_seq) {
    if (models.size >= readsAtOnce) return undefined;
    // What was overwritten since is no longer there: the next that is.
    const query = { seq: sequence + 1, next_by_subj: `${prefix}>` };
    const stored = await jsm.streams.getMessage(stream, query).catch((error: unknown) => {
      if (jetStreamCode(error) === JetStreamCode.MessageNotFound) return undefined;
      throw error;
    });
    if (stored === undefined) break;
    models.add(stored.subject.slice(prefix.length));
    sequence = stored.seq;
  }
  return { models, mark: { created, sequence: Math.max(sequence, state.last_seq) } };
}

/** What a write was to replace, -1 where it did not say. */
function expectedRevision(msg: Msg): number {
  const revision = Number(msg.headers?.get(expectedHeader) || Number.NaN);
  return Number.isSafeInteger(revision) ? revision : -1;
}

function absent(link: NatsLink, cause: unknown): TroupeError {
  return new TroupeError(
    'cluster.absent',
    `there is no Troupe in namespace ${link.subjects.namespace} on NATS at ${link.servers}: start one (npm start, or troupe-coordinator), or say which namespace is meant (TROUPE_NAMESPACE)`,
    { cause },
  );
}

/** The reader's side. */
export interface RoutingView {
  entry(model: string): RoutingEntry | undefined;
  models(): string[];
  /** Called after every change, with the model's name. */
  onChange(listener: (model: string) => void): () => void;
  /** Reads what may have been missed, now. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the reader's side and reads everything once; declares nothing. Rejects with `cluster.absent` where no
 * coordinator has declared the table, and with `nats.failed`.
 */
export async function createRoutingView(
  link: NatsLink,
  onError: (error: unknown) => void,
): Promise<RoutingView> {
  const entries = new Map<string, RoutingEntry>();
  const listeners = new Set<(model: string) => void>();
  const bucket = await bindBucket(link);
  let closed = false;
  let refreshing: Promise<void> | undefined;
  /** Models read alone while everything is being read again: what that reads of them may be older. */
  let toldMeanwhile = new Set<string>();

  function changed(model: string): void {
    for (const listener of Array.from(listeners)) listener(model);
  }

  function take(entry: RoutingEntry): void {
    const known = entries.get(entry.model);
    if (known !== undefined && known.epoch > entry.epoch) return;
    entries.set(entry.model, entry);
    changed(entry.model);
  }

  /** The stored value of a revision later than that one, or what is there when it has not come in time. */
  async function readLater(model: string, revision: number): Promise<KvEntry | null> {
    for (let attempt = 0; ; attempt += 1) {
      const stored = await bucket.get(model);
      const pauseMs = readAgainMs[attempt];
      if ((stored?.revision ?? 0) > revision || pauseMs === undefined || closed) return stored;
      await new Promise<void>((resolve) => {
        setTimeout(resolve, pauseMs).unref();
      });
    }
  }

  /**
   * Reads one model again; told of a change, by a message that may be out of order or was refused in the end. It comes
   * while the change is still on its way into the bucket: whoever wrote it expected `revision` to be the last.
   */
  async function readModel(model: string): Promise<void> {
    const stored = await readLater(model, expected.get(model) ?? -1);
    toldMeanwhile.add(model);
    const entry = stored === null ? undefined : parseEntry(stored);
    if (entry !== undefined) take(entry);
    else if (entries.delete(model)) changed(model);
  }

  /** At most one read for each model is under way; a change during it is read after it. */
  const reading = new Map<string, 'once' | 'again'>();
  /** The revision that the newest change of a model was to replace. */
  const expected = new Map<string, number>();
  function readSoon(model: string): void {
    if (closed) return;
    if (reading.has(model)) {
      reading.set(model, 'again');
      return;
    }
    reading.set(model, 'once');
    readModel(model)
      .catch((error: unknown) => {
        if (!closed) onError(asTroupeError(error, 'nats.failed'));
      })
      .finally(() => {
        const again = reading.get(model) === 'again';
        reading.delete(model);
        if (again) readSoon(model);
      });
  }

  /** How far everything was read. */
  let readUpTo: ReadMark | undefined;

  async function readAgain(): Promise<void> {
    const changes = readUpTo === undefined ? undefined : await changedSince(link, readUpTo);
    if (changes === undefined) return readAll();
    for (const model of changes.models) await readModel(model);
    // Only now: what was not read after all is asked for again.
    readUpTo = changes.mark;
  }

  async function readAll(): Promise<void> {
    const seen = new Set<string>();
    toldMeanwhile = new Set();
    const { entries: stored, mark } = await readBucket(link, bucket);
    readUpTo = mark;
    for (const entry of stored) {
      seen.add(entry.model);
      if (!toldMeanwhile.has(entry.model)) take(entry);
    }
    for (const model of entries.keys()) {
      if (!seen.has(model) && !toldMeanwhile.has(model)) {
        entries.delete(model);
        changed(model);
      }
    }
  }

  function refresh(): Promise<void> {
    refreshing ??= readAgain()
      .catch((error: unknown) => {
        throw jetStreamCode(error) === JetStreamCode.StreamNotFound
          ? absent(link, error)
          : asTroupeError(error, 'nats.failed');
      })
      .finally(() => {
        refreshing = undefined;
      });
    return refreshing;
  }

  const refreshQuietly = () => {
    if (link.isConnected() && !closed) refresh().catch(onError);
  };
  // Not the library's watch: its heartbeats outlive a connection that closes while it starts, and it is deaf for
  // seconds after a restart of the server. Writes to the bucket are plain messages that anybody may hear.
  const prefix = `$KV.${link.subjects.routesBucket}.`;
  const subscription = link.connection.subscribe(`${prefix}>`, {
    callback: (error, msg) => {
      if (error !== null) return;
      const model = msg.subject.slice(prefix.length);
      expected.set(model, expectedRevision(msg));
      readSoon(model);
    },
  });
  const stopWatching = link.onReconnect(refreshQuietly);
  try {
    await refresh();
  } catch (error) {
    stopWatching();
    if (!link.connection.isClosed()) subscription.unsubscribe();
    throw error;
  }
  const timer = setInterval(refreshQuietly, refreshEveryMs);
  // The view alone keeps no process alive: whoever holds the connection decides.
  timer.unref();

  return {
    entry: (model) => entries.get(model),
    models: () => [...entries.keys()],
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    refresh,
    async close() {
      if (closed) return;
      closed = true;
      stopWatching();
      clearInterval(timer);
      if (!link.connection.isClosed()) subscription.unsubscribe();
      await refreshing?.catch(() => undefined);
    },
  };
}
