/**
 * What a connection sees of its NATS server and of Troupe's streams on it: facts for the doctor, read and never
 * changed. Whether a fact is good or bad is not decided here.
 */
import { type ConsumerInfo, DeliverPolicy, type StreamInfo } from 'nats';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';
import { recordStreamConfigs } from './record-streams.js';
import { type LaneLimits, workConsumerConfig, workStreamConfig } from './work-lane.js';

/** The server process that a connection is with, as it introduced itself. */
export interface NatsServerFacts {
  readonly version: string;
  /** What the server itself allows, whatever bound Troupe puts on it. */
  readonly maxPayloadBytes: number;
  /** Name of the cluster that it belongs to; absent for a server alone. */
  readonly cluster?: string;
}

/** JetStream of the account; limits are absent where the account has none of its own. */
export interface JetStreamFacts {
  readonly memoryBytes: number;
  readonly storageBytes: number;
  readonly streamCount: number;
  readonly consumerCount: number;
  readonly memoryLimitBytes?: number;
  readonly storageLimitBytes?: number;
  readonly streamLimit?: number;
  readonly consumerLimit?: number;
}

/** A setting that differs from what Troupe declares. Durations are in milliseconds. */
export interface SettingDifference {
  readonly setting: string;
  readonly expected: string;
  readonly found: string;
}

/** A version's consumer that is there. */
export interface WorkConsumerFacts {
  readonly name: string;
  readonly differences: readonly SettingDifference[];
}

/** A model's stream that is there. */
export interface WorkStreamFacts {
  readonly stream: string;
  readonly model: string;
  /** Its share of the server's memory; absent where it has no byte limit. */
  readonly maxBytes?: number;
  readonly messages: number;
  /** Messages by version, whether or not anybody reads them. */
  readonly queued: ReadonlyMap<number, number>;
  readonly differences: readonly SettingDifference[];
  readonly consumers: readonly WorkConsumerFacts[];
}

/** A stream that keeps records, routes or artifacts. */
export interface RecordStreamFacts {
  readonly stream: string;
  readonly present: boolean;
  readonly messages: number;
  readonly differences: readonly SettingDifference[];
}

/** The clock of a process beside that of NATS, at an event of that process. */
export interface EventClock {
  readonly source: string;
  /** Time that the process wrote into its event − time at which NATS stored it, in milliseconds. */
  readonly offsetMs: number;
  /** When the event was stored, by the clock of NATS. */
  readonly storedAt: string;
}

/** The server at the other end. */
export function readNatsServer(link: NatsLink): NatsServerFacts {
  const { info } = link.connection;
  return {
    version: info?.version ?? 'unknown',
    maxPayloadBytes: info?.max_payload ?? link.maxPayloadBytes(),
    ...(info?.cluster === undefined ? {} : { cluster: info.cluster }),
  };
}

const roundTripLimitMs = 5_000;

/** One round trip to the server, in milliseconds. Rejects with `nats.failed`, also where none comes back within 5 s. */
export async function natsRoundTripMs(link: NatsLink): Promise<number> {
  const from = performance.now();
  let timer: NodeJS.Timeout | undefined;
  // On a cut connection a flush of the library never ends.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new TroupeError(
          'nats.failed',
          `NATS at ${link.servers} did not answer within ${roundTripLimitMs} ms`,
        ),
      );
    }, roundTripLimitMs);
  });
  try {
    await Promise.race([link.connection.flush(), late]);
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  } finally {
    clearTimeout(timer);
  }
  return performance.now() - from;
}

/** Use and limits of JetStream in the account. Rejects with `nats.failed`. */
export async function readJetStream(link: NatsLink): Promise<JetStreamFacts> {
  try {
    const { memory, storage, streams, consumers, limits } = await (
      await streamManager(link)
    ).getAccountInfo();
    const limit = <K extends string>(name: K, value: number) =>
      (value > 0 ? { [name]: value } : {}) as { readonly [key in K]?: number };
    return {
      memoryBytes: memory,
      storageBytes: storage,
      streamCount: streams,
      consumerCount: consumers,
      ...limit('memoryLimitBytes', limits.max_memory),
      ...limit('storageLimitBytes', limits.max_storage),
      ...limit('streamLimit', limits.max_streams),
      ...limit('consumerLimit', limits.max_consumers),
    };
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}

/** Settings that are compared as they stand; others are the server's own, or differ rightly. */
const streamSettings = [
  'subjects',
  'retention',
  'storage',
  'discard',
  'discard_new_per_subject',
  'max_age',
] as const;
const consumerSettings = [
  'filter_subject',
  'ack_policy',
  'ack_wait',
  'deliver_policy',
  'max_ack_pending',
  'max_deliver',
  'max_waiting',
] as const;
const durations: readonly string[] = ['max_age', 'ack_wait'];

function showSetting(name: string, value: unknown): string {
  if (durations.includes(name) && typeof value === 'number') return `${value / 1e6} ms`;
  if (value === undefined || value === null) return 'none';
  if (Array.isArray(value)) return value.join(' ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function differencesIn(names: readonly string[], expected: object, found: object): SettingDifference[] {
  const of = (config: object, name: string) =>
    showSetting(name, (config as Readonly<Record<string, unknown>>)[name]);
  return names
    .map((setting) => ({ setting, expected: of(expected, setting), found: of(found, setting) }))
    .filter((one) => one.expected !== one.found);
}

/** What a version's queue may be limited to: the cluster's number, or that of one of the model's versions. */
export type QueueLimits = (model: string) => readonly number[];

/**
 * Every work stream with its consumers, compared with what is declared under `limits`. Rejects with `nats.failed`.
 * Asks a few servers' questions for each model, several models at a time.
 */
export async function readWorkStreams(
  link: NatsLink,
  limits: LaneLimits,
  queueLimits: QueueLimits,
): Promise<WorkStreamFacts[]> {
  const { workStreamPrefix } = link.subjects;
  try {
    const jsm = await streamManager(link);
    const infos: StreamInfo[] = [];
    for await (const info of jsm.streams.list()) {
      if (info.config.name.startsWith(workStreamPrefix)) infos.push(info);
    }
    const facts: WorkStreamFacts[] = [];
    const waiting = infos.values();
    const readNext = async () => {
      // One iterator for all readers: each takes the next stream that nobody has taken.
      for (const info of waiting) {
        facts.push(await readWorkStream(link, info, limits, queueLimits));
      }
    };
    await Promise.all(Array.from({ length: modelsAtOnce }, readNext));
    return facts.sort((a, b) => (a.stream < b.stream ? -1 : 1));
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}

const modelsAtOnce = 8;

async function readWorkStream(
  link: NatsLink,
  { config, state }: StreamInfo,
  limits: LaneLimits,
  queueLimits: QueueLimits,
): Promise<WorkStreamFacts> {
  const jsm = await streamManager(link);
  const { subjects } = link;
  const model = config.name.slice(subjects.workStreamPrefix.length);
  const consumers: ConsumerInfo[] = [];
  for await (const info of jsm.consumers.list(config.name)) consumers.push(info);
  const queued = new Map<number, number>();
  if (state.messages > 0) {
    const filter = subjects.workOfModel(model);
    const full = await jsm.streams.info(config.name, { subjects_filter: filter });
    for (const [subject, count] of Object.entries(full.state.subjects ?? {})) {
      const version = Number(subject.split('.').at(-2));
      queued.set(version, (queued.get(version) ?? 0) + count);
    }
  }
  const allowed = queueLimits(model);
  const differences = differencesIn(streamSettings, workStreamConfig(link, model, limits, -1), config);
  if (!allowed.includes(config.max_msgs_per_subject)) {
    differences.push({
      setting: 'max_msgs_per_subject',
      expected: allowed.join(' or '),
      found: String(config.max_msgs_per_subject),
    });
  }
  return {
    stream: config.name,
    model,
    ...(config.max_bytes > 0 ? { maxBytes: config.max_bytes } : {}),
    messages: state.messages,
    queued,
    differences,
    consumers: consumers.map((info) => ({
      name: info.name,
      differences: differencesIn(
        consumerSettings,
        workConsumerConfig(link, model, Number(info.name.slice(1)), limits),
        info.config,
      ),
    })),
  };
}

/** The streams that outlive a restart: events, dead letters, routes, artifacts. Rejects with `nats.failed`. */
export async function readRecordStreams(link: NatsLink): Promise<RecordStreamFacts[]> {
  const { subjects } = link;
  const fileBacked = { storage: 'file' };
  const wanted = [
    ...recordStreamConfigs(link).map((expected) => ({
      name: expected.name,
      expected,
      settings: ['subjects', 'storage', 'discard', 'max_age'],
    })),
    ...[`KV_${subjects.routesBucket}`, `OBJ_${subjects.artifactsBucket}`].map((name) => ({
      name,
      expected: fileBacked,
      settings: ['storage'],
    })),
  ];
  const jsm = await streamManager(link);
  return Promise.all(
    wanted.map(async ({ name, expected, settings }) => {
      try {
        const { config, state } = await jsm.streams.info(name);
        const differences = differencesIn(settings, expected, config);
        return { stream: name, present: true, messages: state.messages, differences };
      } catch (error) {
        if (jetStreamCode(error) !== JetStreamCode.StreamNotFound) throw asTroupeError(error, 'nats.failed');
        return { stream: name, present: false, messages: 0, differences: [] };
      }
    }),
  );
}

/**
 * The clocks of hosts and coordinators beside that of NATS, by the newest event of each among the last `count`. Their
 * way to the server counts in, so a clock ahead looks a little less so. Rejects with `nats.failed`.
 */
export async function readEventClocks(link: NatsLink, count: number): Promise<EventClock[]> {
  const stream = link.subjects.eventStream;
  try {
    const jsm = await streamManager(link);
    const { state } = await jsm.streams.info(stream);
    if (state.messages === 0) return [];
    const consumer = await link.connection.jetstream({ timeout: 5_000 }).consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(state.first_seq, state.last_seq - count + 1),
    });
    try {
      const clocks = new Map<string, EventClock>();
      for await (const msg of await consumer.fetch({ max_messages: count, expires: 1_000 })) {
        const storedMs = msg.info.timestampNanos / 1e6;
        const clock = clockOf(msg.string(), storedMs);
        if (clock !== undefined) clocks.set(clock.source, clock);
        if (msg.info.pending === 0) break;
      }
      return [...clocks.values()];
    } finally {
      await consumer.delete().catch(() => false); // it ends by itself a little later
    }
  } catch (error) {
    if (jetStreamCode(error) === JetStreamCode.StreamNotFound) return [];
    throw asTroupeError(error, 'nats.failed');
  }
}

function clockOf(text: string, storedMs: number): EventClock | undefined {
  try {
    const { source, at } = JSON.parse(text) as { source?: unknown; at?: unknown };
    const atMs = typeof at === 'string' ? Date.parse(at) : Number.NaN;
    if (typeof source !== 'string' || Number.isNaN(atMs)) return undefined;
    return { source, offsetMs: atMs - storedMs, storedAt: new Date(storedMs).toISOString() };
  } catch {
    // Anybody may publish under the prefix; what is not an event tells no time.
    return undefined;
  }
}
