/** Events: published fire-and-forget, kept for a while in a stream of their own so that people can look back. */
import { DeliverPolicy } from 'nats';
import { asTroupeError } from '../errors/troupe-error.js';
import type { EventKind, TroupeEvent } from '../names/events.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';

const textEncoder = new TextEncoder();

/** Publishes an event with the time of now. Never throws: an event that cannot be sent is only logged by its source. */
export function publishEvent(link: NatsLink, event: Omit<TroupeEvent, 'at'>): void {
  if (!link.isConnected()) return;
  const full: TroupeEvent = { ...event, at: new Date().toISOString() };
  link.connection.publish(link.subjects.event(event.kind), textEncoder.encode(JSON.stringify(full)));
}

function parseEvent(text: string): TroupeEvent | undefined {
  try {
    const event = JSON.parse(text) as TroupeEvent;
    return typeof event.kind === 'string' && typeof event.text === 'string' ? event : undefined;
  } catch {
    // Anybody may publish under the prefix; what is not an event is not shown.
    return undefined;
  }
}

/** Hears events as they come, of all kinds or of some. Returns how to stop. */
export function watchEvents(
  link: NatsLink,
  kinds: readonly EventKind[] | 'all',
  listener: (event: TroupeEvent) => void,
): () => void {
  const subjects =
    kinds === 'all' ? [link.subjects.eventsAll] : kinds.map((kind) => link.subjects.event(kind));
  const subscriptions = subjects.map((subject) =>
    link.connection.subscribe(subject, {
      callback: (error, msg) => {
        if (error !== null) return;
        const event = parseEvent(msg.string());
        if (event !== undefined) listener(event);
      },
    }),
  );
  return () => {
    if (!link.connection.isClosed()) for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

/** The newest `count` events, oldest first. Rejects with `nats.failed`. */
export async function recentEvents(link: NatsLink, count: number): Promise<TroupeEvent[]> {
  try {
    const jsm = await streamManager(link);
    const { state } = await jsm.streams.info(link.subjects.eventStream);
    if (state.messages === 0) return [];
    const start = Math.max(state.first_seq, state.last_seq - count + 1);
    const consumer = await link.connection
      .jetstream({ timeout: 5_000 })
      .consumers.get(link.subjects.eventStream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: start,
      });
    const events: TroupeEvent[] = [];
    const messages = await consumer.fetch({ max_messages: state.last_seq - start + 1, expires: 1_000 });
    for await (const msg of messages) {
      const event = parseEvent(msg.string());
      if (event !== undefined) events.push(event);
      if (msg.info.pending === 0) break;
    }
    await consumer.delete().catch(() => false);
    return events;
  } catch (error) {
    if (jetStreamCode(error) === JetStreamCode.StreamNotFound) return [];
    throw asTroupeError(error, 'nats.failed');
  }
}
