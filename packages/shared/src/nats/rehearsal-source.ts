/**
 * Stands for the queue of a version, for a rehearsal: each pull is answered with as many made-up requests, by the puller's own
 * process over the broker. No stream keeps them, and nobody hears the answers and the acks.
 */
import { createInbox } from 'nats';
import { Header } from '../names/headers.js';
import type { WireMessage } from '../protocol/infer-message.js';
import { createFramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { headerBlock, headerLine } from './wire-headers.js';
import type { WorkSource } from './work-source.js';

export interface RehearsalSource extends WorkSource {
  /** Pulls are not answered any more. */
  close(): void;
}

/** Opens one that gives this request again and again. `budgetMs`: what each says that is left of its deadline. */
export function openRehearsalSource(
  link: NatsLink,
  model: string,
  request: WireMessage,
  budgetMs: number,
): RehearsalSource {
  const inbox = createInbox();
  const frames = createFramePublisher(link.connection);
  let sent = 0;

  function send(to: string): void {
    sent += 1;
    const { jsonLength, payload } = request;
    const headers = headerBlock(
      headerLine(Header.Reply, `${inbox}.answer`) +
        headerLine(Header.BudgetMs, budgetMs) +
        headerLine(Header.RequestId, `${inbox}-${sent}`) +
        (jsonLength === undefined ? '' : headerLine(Header.InferenceLength, jsonLength)),
    );
    // A server takes no ack subject as a reply from a client.
    const reply = `${inbox}.ack.1.${sent}.${sent}.${Date.now()}000000.0`;
    frames.publish({ subject: to, reply, headers, payload });
  }

  const subscription = link.connection.subscribe(`${inbox}.pull`, {
    callback: (error, msg) => {
      if (error !== null || !msg.reply || !link.isConnected()) return;
      const { batch } = msg.json<{ batch: number }>();
      for (let count = 0; count < batch; count += 1) send(msg.reply);
    },
  });
  return {
    stream: link.subjects.workStream(model),
    consumer: 'rehearsal', // there is none of this name
    pullSubject: `${inbox}.pull`,
    ackPrefix: `${inbox}.ack.`,
    declare: async () => undefined,
    close: () => {
      if (!link.connection.isClosed()) subscription.unsubscribe();
    },
  };
}
