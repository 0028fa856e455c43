/**
 * What outlives a restart of the servers: the streams of events and dead letters, the routing table and the artifacts.
 * Declared by coordinators, at start and after a reconnect; everybody else finds them there.
 */
import { DiscardPolicy, nanos, StorageType, type StreamConfig } from 'nats';
import { asTroupeError } from '../errors/troupe-error.js';
import { declareArtifactBucket } from './artifact-store.js';
import { isStarting, JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';
import { declareRoutingBucket } from './routing-bucket.js';
import { declareReplicated } from './stream-replicas.js';

const keepMs = 7 * 24 * 3_600_000;

/** The streams that keep events and dead letters, as they are declared, but for the number of copies. */
export function recordStreamConfigs(link: NatsLink): (Partial<StreamConfig> & { readonly name: string })[] {
  const { subjects } = link;
  const kept = {
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    max_msgs: 100_000,
    max_age: nanos(keepMs),
  };
  return [
    { name: subjects.eventStream, subjects: [subjects.eventsAll], ...kept },
    { name: subjects.deadStream, subjects: [subjects.deadAll], ...kept },
  ];
}

/**
 * Declares streams and buckets of records; what is there is left as it is. Rejects with `nats.unreachable` where the
 * servers have no leader for now, with `nats.failed`, or as `declareReplicated` does where a fixed number of copies
 * cannot be kept.
 */
export async function declareRecordStreams(link: NatsLink): Promise<void> {
  const jsm = await streamManager(link);
  try {
    for (const config of recordStreamConfigs(link)) {
      await declareReplicated(link, async (replicas) => {
        try {
          await jsm.streams.add({ ...config, num_replicas: replicas });
        } catch (error) {
          if (jetStreamCode(error) !== JetStreamCode.StreamNameInUse) throw error;
        }
      });
    }
    await declareRoutingBucket(link);
    await declareArtifactBucket(link);
  } catch (error) {
    throw asTroupeError(error, isStarting(error) ? 'nats.unreachable' : 'nats.failed');
  }
}

/** Whether a coordinator has ever declared anything under the namespace of the link. Rejects with `nats.failed`. */
export async function hasRecordStreams(link: NatsLink): Promise<boolean> {
  try {
    await (await streamManager(link)).streams.info(link.subjects.eventStream);
    return true;
  } catch (error) {
    if (jetStreamCode(error) === JetStreamCode.StreamNotFound) return false;
    throw asTroupeError(error, 'nats.failed');
  }
}
