/**
 * Which NATS server leads each model's queue in a cluster of servers, and how a queue is declared anew. For the
 * coordinators: another leader's copy is not trusted. Under load the copies of nats-server 2.9.10 are not alike: one may
 * keep what was done long ago, count it against the queue's limit, and lack what was to come; led by it, the queue stands
 * still (measured; see ARCHITECTURE.md).
 */
import type { ConsumerConfig, JetStreamManager, StreamConfig } from 'nats';
import { asTroupeError } from '../errors/troupe-error.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';

/** Advisories of the server (wire format: `io.nats.jetstream.advisory.v1.*_leader_elected`). */
const advisories = [
  '$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*',
  '$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.*.*',
];

/** Servers without a leader do not answer: asked again soon, rather than waited for. */
const redeclareLimitMs = 1_500;

/** The watch over leaders. */
export interface LaneLeaders {
  /** Reads who leads, for what was not heard: at start, after a reconnect, now and then. Rejects with `nats.failed`. */
  look(): Promise<void>;
  /** Forgets who led a model's queue: it is another one from now on. */
  forget(model: string): void;
  stop(): void;
}

/** Calls back with a model's name when its queue, or a consumer of it, has another leader than before. */
export function watchLaneLeaders(link: NatsLink, onChange: (model: string) => void): LaneLeaders {
  const { workStreamPrefix, workStream } = link.subjects;
  /** By stream, or stream and consumer: a space is in no name of either. */
  const leaders = new Map<string, string>();

  function hear(stream: string, consumer: string | undefined, leader: string | undefined): void {
    if (leader === undefined || leader === '' || !stream.startsWith(workStreamPrefix)) return;
    const key = consumer === undefined ? stream : `${stream} ${consumer}`;
    const before = leaders.get(key);
    leaders.set(key, leader);
    if (before !== undefined && before !== leader) onChange(stream.slice(workStreamPrefix.length));
  }

  // A server alone says nothing there, and a user may not be allowed to listen.
  const heard = link.connection.info?.cluster === undefined ? [] : advisories;
  const subscriptions = heard.map((subject) =>
    link.connection.subscribe(subject, {
      callback: (error, msg) => {
        if (error !== null) return;
        const { stream, consumer, leader } = parseAdvisory(msg.string());
        if (stream !== undefined) hear(stream, consumer, leader);
      },
    }),
  );

  return {
    async look() {
      try {
        const jsm = await streamManager(link);
        for await (const { config, cluster } of jsm.streams.list()) {
          if (!config.name.startsWith(workStreamPrefix)) continue;
          hear(config.name, undefined, cluster?.leader);
          for await (const info of jsm.consumers.list(config.name))
            hear(config.name, info.name, info.cluster?.leader);
        }
      } catch (error) {
        throw asTroupeError(error, 'nats.failed');
      }
    },
    forget(model) {
      const stream = workStream(model);
      for (const key of leaders.keys())
        if (key === stream || key.startsWith(`${stream} `)) leaders.delete(key);
    },
    stop() {
      if (!link.connection.isClosed()) for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

function parseAdvisory(text: string): { stream?: string; consumer?: string; leader?: string } {
  try {
    const advisory = JSON.parse(text) as { stream?: unknown; consumer?: unknown; leader?: unknown };
    const texts = Object.entries({
      stream: advisory.stream,
      consumer: advisory.consumer,
      leader: advisory.leader,
    }).filter(([, value]) => typeof value === 'string');
    return Object.fromEntries(texts) as { stream?: string; consumer?: string; leader?: string };
  } catch {
    // Not the server's; whoever may publish there says nothing that counts.
    return {};
  }
}

/**
 * Removes a model's queue and declares it again as it was. Whoever awaits an answer has to be told (`queue.reset`) and
 * publishes again. Rejects with `nats.failed` where the servers have no leader for now: then it is as it was.
 */
export async function redeclareLane(link: NatsLink, model: string): Promise<void> {
  const stream = link.subjects.workStream(model);
  const jsm = await link.connection.jetstreamManager({ timeout: redeclareLimitMs, checkAPI: false });
  const before = await readLane(jsm, stream);
  try {
    await jsm.streams.delete(stream);
  } catch (error) {
    if (jetStreamCode(error) === JetStreamCode.StreamNotFound) return;
    throw asTroupeError(error, 'nats.failed');
  }
  if (before === undefined) return;
  try {
    await jsm.streams.add(before.config);
    for (const consumer of before.consumers) await jsm.consumers.add(stream, consumer);
  } catch {
    // Its workers declare what is not there; this was only to have it sooner.
  }
}

interface LaneConfigs {
  readonly config: StreamConfig;
  readonly consumers: readonly ConsumerConfig[];
}

async function readLane(jsm: JetStreamManager, stream: string): Promise<LaneConfigs | undefined> {
  try {
    const { config } = await jsm.streams.info(stream);
    const consumers: ConsumerConfig[] = [];
    for await (const info of jsm.consumers.list(stream)) consumers.push(info.config);
    return { config, consumers };
  } catch {
    // The copy that leads does not answer: its workers know how to declare it.
    return undefined;
  }
}
