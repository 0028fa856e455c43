/**
 * A queue of made-up requests that a runner sends to itself over the broker: they come in as a consumer's deliveries do and
 * are answered and acked as these are, but no stream keeps them, and nobody hears the answers and the acks.
 */
import { createInbox } from 'nats';
import { Header } from '../names/headers.js';
import type { WireMessage } from '../protocol/infer-message.js';
import { createFramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { headerBlock, headerLine } from './wire-headers.js';
import { createWorkDeliveries, type WorkDeliveries, type WorkMessage } from './work-deliveries.js';

export interface RehearsalQueue extends Omit<WorkDeliveries, 'read'> {
  /** Publishes a request. Throws where the connection is closed for good, or the server does not take as much. */
  send(request: WireMessage): void;
  /** Nothing arrives any more. */
  close(): void;
}

/** Opens one. `budgetMs`: what each request says that is left of its deadline. */
export function openRehearsalQueue(
  link: NatsLink,
  model: string,
  budgetMs: number,
  onMessage: (message: WorkMessage) => void,
): RehearsalQueue {
  const inbox = createInbox();
  const frames = createFramePublisher(link.connection);
  const stream = link.subjects.workStream(model);
  const consumer = 'rehearsal'; // there is none of this name
  const { read, ...replies } = createWorkDeliveries(link, frames, stream, consumer);
  let sent = 0;
  let arrived = 0;
  const subscription = link.connection.subscribe(`${inbox}.request`, {
    callback: (error, msg) => {
      if (error !== null) return;
      arrived += 1;
      // Made up here: a server takes no ack subject as a reply from a client.
      const ackSubject = `$JS.ACK.${stream}.${consumer}.1.${arrived}.${arrived}.${Date.now()}000000.0`;
      const message = read(msg, ackSubject, performance.now());
      if (message !== undefined) onMessage(message);
    },
  });
  return {
    ...replies,
    send({ jsonLength, payload }) {
      sent += 1;
      const headers = headerBlock(
        headerLine(Header.Reply, `${inbox}.answer`) +
          headerLine(Header.BudgetMs, budgetMs) +
          headerLine(Header.RequestId, sent) +
          (jsonLength === undefined ? '' : headerLine(Header.InferenceLength, jsonLength)),
      );
      frames.publish({ subject: `${inbox}.request`, reply: '', headers, payload });
    },
    close: () => {
      if (!link.connection.isClosed()) subscription.unsubscribe();
    },
  };
}
