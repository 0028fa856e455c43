/**
 * The work lane: one work-queue stream for each model, one durable consumer for each of its versions. Declared
 * idempotently from here by whoever needs them, since a server with memory streams forgets them at a restart.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamConfig,
} from 'nats';
import { defaults } from '../config/defaults.js';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';
import { declareReplicated } from './stream-replicas.js';

/** Limits of a model's lane. */
export interface LaneLimits {
  /** Messages that may wait for one version and priority. */
  readonly queueLimit: number;
  /** Bytes that may wait for the model; a server short of reservable memory gives less, or no limit of its own. */
  readonly streamBytes: number;
  /** Redelivery bound, in milliseconds. */
  readonly ackWaitMs: number;
}

/** What waits and what is held for one version. */
export interface QueueCounts {
  /** Messages in the stream, delivered or not. */
  readonly messages: number;
  /** Not delivered yet. */
  readonly pending: number;
  /** Delivered and neither acked nor given back. */
  readonly ackPending: number;
}

/**
 * The stream of a model as it is declared; `maxBytes` is -1 where it has no byte limit of its own. How many copies
 * there are is for `stream-replicas.ts`.
 */
export function workStreamConfig(
  link: NatsLink,
  model: string,
  limits: LaneLimits,
  maxBytes: number,
): Partial<StreamConfig> {
  return {
    name: link.subjects.workStream(model),
    subjects: [link.subjects.workOfModel(model)],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.Memory,
    discard: DiscardPolicy.New,
    discard_new_per_subject: true,
    max_msgs_per_subject: limits.queueLimit,
    max_bytes: maxBytes,
    max_age: nanos(defaults.streamMaxAgeMs),
    duplicate_window: nanos(2_000),
  };
}

/**
 * Declares the model's stream. A server reserves the byte limits of all streams together and refuses what
 * exceeds its memory, so with many models later ones get a smaller share, in the end none of their own: the
 * message limit and the server's own bound still hold.
 */
export async function declareWorkStream(link: NatsLink, model: string, limits: LaneLimits): Promise<void> {
  try {
    await declareReplicated(link, (replicas) => declareWorkCopies(link, model, limits, replicas));
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}

async function declareWorkCopies(
  link: NatsLink,
  model: string,
  limits: LaneLimits,
  replicas: number,
): Promise<void> {
  const jsm = await streamManager(link);
  const shares = [limits.streamBytes, limits.streamBytes / 4, limits.streamBytes / 16, -1];
  for (const share of shares) {
    const config = workStreamConfig(link, model, limits, share > 0 ? Math.max(1024, Math.floor(share)) : -1);
    try {
      await jsm.streams.add({ ...config, num_replicas: replicas });
      return;
    } catch (error) {
      const code = jetStreamCode(error);
      // Somebody declared it with another share or other limits: it is there, which is what counts.
      if (code === JetStreamCode.StreamNameInUse) return;
      const short =
        code === JetStreamCode.InsufficientResources ||
        code === JetStreamCode.InsufficientMemory ||
        code === JetStreamCode.InsufficientStorage ||
        // A cluster counts servers without that much room as none.
        code === JetStreamCode.NoSuitablePeers;
      if (!short || share === -1) throw error;
    }
  }
}

/** The consumer of a version as it is declared. */
export function workConsumerConfig(
  link: NatsLink,
  model: string,
  version: number,
  limits: LaneLimits,
): Partial<ConsumerConfig> {
  return {
    durable_name: link.subjects.workConsumer(version),
    filter_subject: link.subjects.workOfVersion(model, version),
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(limits.ackWaitMs),
    deliver_policy: DeliverPolicy.All,
    // Credits are the limit; the server's own max_deliver leaves messages stuck unseen.
    max_ack_pending: -1,
    max_deliver: -1,
    max_waiting: 4096,
  };
}

/** Declares the consumer of a version, and the stream under it. */
export async function declareWorkConsumer(
  link: NatsLink,
  model: string,
  version: number,
  limits: LaneLimits,
): Promise<void> {
  const jsm = await streamManager(link);
  const stream = link.subjects.workStream(model);
  const config = workConsumerConfig(link, model, version, limits);
  try {
    await jsm.consumers.add(stream, config);
  } catch (error) {
    const code = jetStreamCode(error);
    if (code === JetStreamCode.ConsumerNameExists) return;
    if (code !== JetStreamCode.StreamNotFound) throw asTroupeError(error, 'nats.failed');
    await declareWorkStream(link, model, limits);
    try {
      await jsm.consumers.add(stream, config);
    } catch (second) {
      throw asTroupeError(second, 'nats.failed');
    }
  }
}

/** Runs a manager call for which 'not there' is an answer. */
async function orAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    const code = jetStreamCode(error);
    const absent: readonly (number | undefined)[] = [
      JetStreamCode.StreamNotFound,
      JetStreamCode.ConsumerNotFound,
      JetStreamCode.MessageNotFound,
    ];
    if (absent.includes(code)) return undefined;
    throw asTroupeError(error, 'nats.failed');
  }
}

/** Removes a version's consumer; true where there was one. */
export async function deleteWorkConsumer(link: NatsLink, model: string, version: number): Promise<boolean> {
  const jsm = await streamManager(link);
  const { subjects } = link;
  return (
    (await orAbsent(() =>
      jsm.consumers.delete(subjects.workStream(model), subjects.workConsumer(version)),
    )) ?? false
  );
}

/** Removes what waits for a version; returns how many messages. */
export async function purgeWork(link: NatsLink, model: string, version: number): Promise<number> {
  const jsm = await streamManager(link);
  const { subjects } = link;
  const filter = subjects.workOfVersion(model, version);
  const purged = await orAbsent(() => jsm.streams.purge(subjects.workStream(model), { filter }));
  return purged?.purged ?? 0;
}

/** Removes a model's stream with all that waits in it; true where there was one. */
export async function deleteWorkStream(link: NatsLink, model: string): Promise<boolean> {
  const jsm = await streamManager(link);
  return (await orAbsent(() => jsm.streams.delete(link.subjects.workStream(model)))) ?? false;
}

/** Removes one queued message; true where it was still there. */
export async function deleteWorkMessage(
  link: NatsLink,
  model: string,
  streamSequence: number,
): Promise<boolean> {
  const jsm = await streamManager(link);
  // Without erasing: overwriting the bytes of a message in memory has no point here and costs.
  return (
    (await orAbsent(() =>
      jsm.streams.deleteMessage(link.subjects.workStream(model), streamSequence, false),
    )) ?? false
  );
}

/** One message of a model's stream as it is stored; `undefined` where it is gone. */
export async function readWorkMessage(
  link: NatsLink,
  model: string,
  streamSequence: number,
): Promise<StoredMsg | undefined> {
  const jsm = await streamManager(link);
  return orAbsent(() => jsm.streams.getMessage(link.subjects.workStream(model), { seq: streamSequence }));
}

/** Counts of a version's queue; `undefined` where it has no consumer. */
export async function workQueueCounts(
  link: NatsLink,
  model: string,
  version: number,
): Promise<QueueCounts | undefined> {
  const jsm = await streamManager(link);
  const { subjects } = link;
  const info = await orAbsent(() =>
    jsm.consumers.info(subjects.workStream(model), subjects.workConsumer(version)),
  );
  if (info === undefined) return undefined;
  return {
    messages: info.num_pending + info.num_ack_pending,
    pending: info.num_pending,
    ackPending: info.num_ack_pending,
  };
}

/** Queued messages of a model by version, from the stream's subjects: those without a consumer are seen too. */
export async function queuedByVersion(link: NatsLink, model: string): Promise<Map<number, number>> {
  const jsm = await streamManager(link);
  const { subjects } = link;
  const filter = subjects.workOfModel(model);
  const info = await orAbsent(() =>
    jsm.streams.info(subjects.workStream(model), { subjects_filter: filter }),
  );
  const counts = new Map<number, number>();
  for (const [subject, count] of Object.entries(info?.state.subjects ?? {})) {
    const version = Number(subject.split('.').at(-2));
    counts.set(version, (counts.get(version) ?? 0) + count);
  }
  return counts;
}

/** Every model that has a work stream. */
export async function listWorkStreams(link: NatsLink): Promise<string[]> {
  const jsm = await streamManager(link);
  const models: string[] = [];
  try {
    for await (const name of jsm.streams.names()) {
      if (name.startsWith(link.subjects.workStreamPrefix))
        models.push(name.slice(link.subjects.workStreamPrefix.length));
    }
  } catch (error) {
    throw new TroupeError('nats.failed', `the streams could not be listed: ${String(error)}`, {
      cause: error,
    });
  }
  return models;
}
