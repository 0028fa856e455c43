/**
 * Declares a model's queue anew when another server of a NATS cluster has come to lead it: why, stands in
 * `lane-leaders.ts`. Every coordinator watches, so that one that comes to lead knows what was seen; the leader acts.
 */
import { asTroupeError, EventKind, type Log } from '@troupe/shared';
import {
  type NatsLink,
  publishEvent,
  redeclareLane,
  watchEvents,
  watchLaneLeaders,
} from '@troupe/shared/nats';

export interface LaneGuardOptions {
  readonly link: NatsLink;
  /** Name of this coordinator. */
  readonly owner: string;
  readonly isLeader: () => boolean;
  readonly log: Log;
}

/** Between two looks at what is due, in milliseconds. */
const tickMs = 250;
/** Between two looks at all leaders: news may have been lost with a connection. */
const lookEveryMs = 15_000;
/** What was seen and nobody acted on is forgotten after this long. */
const dueForMs = 60_000;
/** The elections of a queue's consumers come one after the other, and so does the news. */
const quietMs = 3_000;

/** Starts it; returns how to stop it, which waits for what is under way. */
export function startLaneGuard({ link, owner, isLeader, log }: LaneGuardOptions): () => Promise<void> {
  const inCluster = () => link.connection.info?.cluster !== undefined;
  /** Models whose queue has another leader, by when it was seen. */
  const due = new Map<string, number>();
  const resetAtMs = new Map<string, number>();
  let lookAtMs = 0;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> = Promise.resolve();

  const leaders = watchLaneLeaders(link, (model) => {
    const quietUntilMs = (resetAtMs.get(model) ?? Number.NEGATIVE_INFINITY) + quietMs;
    if (performance.now() >= quietUntilMs && !due.has(model)) due.set(model, performance.now());
  });

  function done(model: string): void {
    due.delete(model);
    leaders.forget(model);
    resetAtMs.set(model, performance.now());
  }

  const stopHearing = watchEvents(link, [EventKind.QueueReset], ({ data }) => {
    if (typeof data.model === 'string') done(data.model);
  });
  const stopWatching = link.onReconnect(() => {
    lookAtMs = 0;
  });

  async function reset(model: string): Promise<void> {
    try {
      await redeclareLane(link, model);
    } catch (error) {
      log.warn({ model, reason: asTroupeError(error).message }, 'a queue is not declared anew yet');
      return;
    }
    done(model);
    log.warn(
      { model },
      'another NATS server leads the queue: it is declared anew, and clients publish again',
    );
    publishEvent(link, {
      kind: EventKind.QueueReset,
      source: `coordinator/${owner}`,
      text: `the queue of ${model} is declared anew, since another NATS server came to lead it`,
      data: { model },
    });
  }

  async function tick(): Promise<void> {
    if (!inCluster() || !link.isConnected()) return;
    const nowMs = performance.now();
    for (const [model, sinceMs] of due) if (nowMs - sinceMs > dueForMs) due.delete(model);
    if (isLeader()) for (const model of [...due.keys()]) await reset(model);
    if (nowMs < lookAtMs) return;
    try {
      await leaders.look();
      lookAtMs = performance.now() + lookEveryMs;
    } catch {
      // No leader among the servers for now: looked at again with the next tick.
    }
  }

  function next(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      working = tick().then(next);
    }, tickMs);
  }
  next();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    stopWatching();
    stopHearing();
    leaders.stop();
    await working;
  };
}
