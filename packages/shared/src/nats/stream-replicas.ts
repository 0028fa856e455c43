/**
 * How many copies of a stream the NATS servers keep: one, or three where they are a cluster, unless a setting fixes it.
 * For whoever declares a stream; and for the leader, which raises streams that were declared while servers were missing.
 */
import type { StreamInfo } from 'nats';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';

/** Copies in a cluster: one server may be lost. Five would bear two, and cost more than most want to pay. */
const clusterReplicas = 3;

/** Copies that each stream should have on the servers of a link. */
export function wantedReplicas(link: NatsLink): number {
  const { replicas = 'auto' } = link.options;
  if (replicas !== 'auto') return replicas;
  return link.connection.info?.cluster === undefined ? 1 : clusterReplicas;
}

/** Whether a server refused for lack of servers: it is alone, or too few of its cluster have JetStream or room. */
function lacksServers(error: unknown): boolean {
  const code = jetStreamCode(error);
  return code === JetStreamCode.ReplicasNotSupported || code === JetStreamCode.NoSuitablePeers;
}

/**
 * Declares something with the copies that are wanted; with one where the cluster has too few servers for now and nobody
 * fixed the number. Rejects with what `declare` rejects with; for a fixed number that the servers cannot keep,
 * `config.invalid` (a server alone) or `nats.unreachable` (a cluster that lacks servers).
 */
export async function declareReplicated<T>(
  link: NatsLink,
  declare: (replicas: number) => Promise<T>,
): Promise<T> {
  const wanted = wantedReplicas(link);
  try {
    return await declare(wanted);
  } catch (error) {
    if (wanted === 1 || !lacksServers(error)) throw error;
    if ((link.options.replicas ?? 'auto') === 'auto') return declare(1);
    throw jetStreamCode(error) === JetStreamCode.ReplicasNotSupported
      ? new TroupeError(
          'config.invalid',
          `${wanted} copies of each stream are wanted (TROUPE_NATS_REPLICAS), but NATS at ${link.servers} is one server: set 1, or auto`,
          { cause: error },
        )
      : new TroupeError(
          'nats.unreachable',
          `${wanted} copies of each stream are wanted (TROUPE_NATS_REPLICAS), but fewer servers with JetStream and room answer in the cluster of ${link.servers}`,
          { cause: error },
        );
  }
}

/** Whether a stream is one of this Troupe's. */
function isOurs(link: NatsLink, stream: string): boolean {
  const { subjects } = link;
  return (
    stream.startsWith(subjects.workStreamPrefix) ||
    [
      subjects.eventStream,
      subjects.deadStream,
      `KV_${subjects.routesBucket}`,
      `OBJ_${subjects.artifactsBucket}`,
    ].includes(stream)
  );
}

/** A stream's copies as they are. */
export interface StreamReplicas {
  readonly stream: string;
  /** As declared. */
  readonly replicas: number;
  /** Servers whose copy is away or behind. */
  readonly missing: readonly string[];
}

/** Copies of the streams of one Troupe, beside what is wanted. */
export interface ReplicaFacts {
  readonly wanted: number;
  /** Whether a setting fixes the number. */
  readonly fixed: boolean;
  /** Name of the cluster; absent for a server alone. */
  readonly cluster?: string;
  readonly streams: readonly StreamReplicas[];
}

async function listOurs(link: NatsLink): Promise<StreamInfo[]> {
  const jsm = await streamManager(link);
  const infos: StreamInfo[] = [];
  for await (const info of jsm.streams.list()) if (isOurs(link, info.config.name)) infos.push(info);
  return infos;
}

/** Reads the copies of every stream. Rejects with `nats.failed`. */
export async function readReplicas(link: NatsLink): Promise<ReplicaFacts> {
  try {
    const cluster = link.connection.info?.cluster;
    const streams = (await listOurs(link)).map(({ config, cluster: state }) => ({
      stream: config.name,
      replicas: config.num_replicas,
      missing: (state?.replicas ?? [])
        .filter(({ current, offline }) => !current || offline === true)
        .map(({ name }) => name),
    }));
    return {
      wanted: wantedReplicas(link),
      fixed: (link.options.replicas ?? 'auto') !== 'auto',
      ...(cluster === undefined ? {} : { cluster }),
      streams: streams.sort((a, b) => (a.stream < b.stream ? -1 : 1)),
    };
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}

/** What came of adjusting. */
export interface ReplicaChanges {
  readonly wanted: number;
  /** Streams that have the wanted copies from now on, and had fewer or more. */
  readonly changed: readonly string[];
  /** Streams that have fewer than wanted still, since the cluster lacks servers. */
  readonly short: readonly string[];
}

/**
 * Gives every stream the copies that are wanted, where the servers allow. A number that nobody fixed is never lowered: a
 * server that is alone for now belongs to a cluster all the same. Rejects with `nats.failed`.
 */
export async function adjustReplicas(link: NatsLink): Promise<ReplicaChanges> {
  const wanted = wantedReplicas(link);
  const fixed = (link.options.replicas ?? 'auto') !== 'auto';
  const alone = link.connection.info?.cluster === undefined;
  const changed: string[] = [];
  const short: string[] = [];
  if (wanted === 1 && !fixed) return { wanted, changed, short };
  try {
    const jsm = await streamManager(link);
    for (const { config } of await listOurs(link)) {
      const { name, num_replicas: has } = config;
      if (has === wanted || (has > wanted && !fixed)) continue;
      if (wanted > 1 && alone) {
        // nats-server 2.9 alone takes any number without a word, and keeps one copy.
        short.push(name);
        continue;
      }
      try {
        await jsm.streams.update(name, { num_replicas: wanted });
        changed.push(name);
      } catch (error) {
        const code = jetStreamCode(error);
        if (code === JetStreamCode.StreamNotFound) continue;
        if (code === undefined) throw error;
        short.push(name);
      }
    }
    return { wanted, changed, short };
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}
