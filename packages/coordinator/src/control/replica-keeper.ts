/**
 * Has each stream kept on as many servers as it should be: streams are declared while servers of a cluster are missing,
 * and a server alone may become a cluster. The leader's coordinator runs it; it changes nothing but numbers of copies.
 */
import type { Log } from '@troupe/shared';
import { adjustReplicas, type NatsLink } from '@troupe/shared/nats';

/** Between two rounds, in milliseconds: a server that starts takes as long to join its cluster. */
const everyMs = 15_000;
const firstMs = 1_000;

export interface ReplicaKeeperOptions {
  readonly link: NatsLink;
  readonly isLeader: () => boolean;
  readonly log: Log;
}

/** Starts it; returns how to stop it, which waits for the round under way. */
export function startReplicaKeeper({ link, isLeader, log }: ReplicaKeeperOptions): () => Promise<void> {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();
  /** Streams without all their copies as it was last told: told again when it changes. */
  let told = '';

  async function adjust(): Promise<void> {
    if (!isLeader() || !link.isConnected()) return;
    try {
      const { wanted, changed, short } = await adjustReplicas(link);
      if (changed.length > 0) {
        log.info(
          { streams: changed, replicas: wanted },
          `${changed.length} streams have ${wanted} copies now`,
        );
      }
      const text = short.join(' ');
      if (text !== told && short.length > 0) {
        log.warn(
          { streams: short, replicas: wanted, cluster: link.connection.info?.cluster },
          `${short.length} streams have fewer than ${wanted} copies: the NATS cluster has too few servers with JetStream and room`,
        );
      }
      told = text;
    } catch (error) {
      log.warn({ err: error }, 'copies of streams could not be looked after; it is tried again');
    }
  }

  function next(inMs: number): void {
    if (stopped) return;
    timer = setTimeout(() => {
      round = adjust().then(() => next(everyMs));
    }, inMs);
  }
  next(firstMs);
  const stopWatching = link.onReconnect(() => {
    // Before the round that is due: what was lost with a server shows now.
    clearTimeout(timer);
    round = round.then(() => {
      clearTimeout(timer);
      next(firstMs);
    });
  });
  return async () => {
    stopped = true;
    stopWatching();
    clearTimeout(timer);
    await round;
  };
}
