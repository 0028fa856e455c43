/**
 * The routing table in a file-backed key-value bucket: the leader publishes entries by compare-and-set, every door
 * reads them. A watch is deaf for seconds after a server's restart, so readers read everything again after each
 * reconnect and at a slow tick.
 */
import { type KV, type KvEntry, type QueuedIterator, StorageType } from 'nats';
import { asTroupeError } from '../errors/troupe-error.js';
import type { RoutingEntry } from '../routing/routing-entry.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import type { NatsLink } from './nats-link.js';
import { streamManager } from './work-lane.js';

const textEncoder = new TextEncoder();
const refreshEveryMs = 10_000;
const publishAttempts = 5;

function openBucket(link: NatsLink): Promise<KV> {
  return link.connection.jetstream({ timeout: 5_000 }).views.kv(link.subjects.routesBucket, {
    history: 1,
    storage: StorageType.File,
    description: 'Troupe routing table',
  });
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
    bucket ??= openBucket(link);
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
    return withBucket((kv) => readBucket(link, kv));
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

/**
 * Every entry. The keys come from the stream's subjects: the iterator of the library's `keys()` drops what it has not
 * handed out yet when its listing ends, so a reader that awaits between two keys sees only the first.
 */
async function readBucket(link: NatsLink, kv: KV): Promise<RoutingEntry[]> {
  const entries: RoutingEntry[] = [];
  const { routesBucket } = link.subjects;
  const jsm = await streamManager(link);
  const { state } = await jsm.streams.info(`KV_${routesBucket}`, { subjects_filter: '>' });
  const prefix = `$KV.${routesBucket}.`;
  for (const subject of Object.keys(state.subjects ?? {})) {
    const stored = await kv.get(subject.slice(prefix.length));
    const entry = stored === null ? undefined : parseEntry(stored);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** The reader's side. */
export interface RoutingView {
  entry(model: string): RoutingEntry | undefined;
  models(): string[];
  /** Called after every change, with the model's name. */
  onChange(listener: (model: string) => void): () => void;
  /** Reads everything again now. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the reader's side and reads everything once. Rejects with `nats.failed`. */
export async function createRoutingView(
  link: NatsLink,
  onError: (error: unknown) => void,
): Promise<RoutingView> {
  const entries = new Map<string, RoutingEntry>();
  const listeners = new Set<(model: string) => void>();
  let watch: QueuedIterator<KvEntry> | undefined;
  let closed = false;
  let refreshing: Promise<void> | undefined;
  /** Models that the watch has told about while everything is being read again: what was read of them may be older. */
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

  async function follow(kv: KV): Promise<void> {
    const iterator = await kv.watch();
    if (closed) {
      iterator.stop();
      return;
    }
    watch?.stop();
    watch = iterator;
    for await (const stored of iterator) {
      toldMeanwhile.add(stored.key);
      if (stored.operation === 'PUT') {
        const entry = parseEntry(stored);
        if (entry !== undefined) take(entry);
      } else if (entries.delete(stored.key)) {
        changed(stored.key);
      }
    }
  }

  async function readAgain(): Promise<void> {
    const kv = await openBucket(link);
    const seen = new Set<string>();
    toldMeanwhile = new Set();
    for (const entry of await readBucket(link, kv)) {
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
        throw asTroupeError(error, 'nats.failed');
      })
      .finally(() => {
        refreshing = undefined;
      });
    return refreshing;
  }

  const refreshQuietly = () => {
    if (link.isConnected() && !closed) refresh().catch(onError);
  };
  await refresh();
  const startWatch = () => {
    openBucket(link)
      .then(follow)
      .catch((error: unknown) => {
        if (!closed) onError(error);
      });
  };
  startWatch();
  const stopWatching = link.onReconnect(() => {
    refreshQuietly();
    startWatch();
  });
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
      watch?.stop();
      await refreshing?.catch(() => undefined);
    },
  };
}
