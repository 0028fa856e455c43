/**
 * Asks a responder over bare NATS, or a worker over bare JetStream as Troupe's clients do: publish, with the PubAck and the
 * answer on one inbox. The payload is the row itself; there is no codec.
 */
import { createInbox } from 'nats';
import { createFramePublisher } from '../../../packages/shared/src/nats/frames.js';
import type { Address, OpenDoor } from '../load-generator.js';
import { connectBare } from '../servers/bare-connection.js';
import { bareLane, echoSubject } from '../servers/bare-names.js';

export const openBareDoor: OpenDoor<Extract<Address, { kind: 'bare-nats' | 'bare-jetstream' }>> = async (
  { kind, url },
  _model,
  _servedAs,
  inputs,
) => {
  const connection = await connectBare(url);
  const frames = createFramePublisher(connection);
  const inbox = createInbox();
  const answersFrom = inbox.length + 3;
  const waiting = new Map<string, { resolve(values: Float32Array): void; reject(error: Error): void }>();
  connection.subscribe(`${inbox}.r.*`, {
    callback: (error, message) => {
      if (error !== null) return;
      const id = message.subject.slice(answersFrom);
      const caller = waiting.get(id);
      waiting.delete(id);
      caller?.resolve(new Float32Array(new Uint8Array(message.data).buffer));
    },
  });
  connection.subscribe(`${inbox}.a.*`, {
    callback: (error, message) => {
      if (error !== null || !message.string().includes('"error"')) return;
      waiting.get(message.subject.slice(answersFrom))?.reject(new Error(message.string()));
    },
  });
  await connection.flush();
  void connection.closed().then((error) => {
    for (const { reject } of waiting.values())
      reject(error instanceof Error ? error : new Error('connection closed'));
  });
  const payloads = inputs.map(({ buffer }) => new Uint8Array(buffer));
  let nextId = 0;
  return {
    ask(row) {
      const id = String(nextId);
      nextId += 1;
      const payload = payloads[row] as Uint8Array;
      return new Promise<Float32Array>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        if (kind === 'bare-nats') {
          frames.publish({ subject: echoSubject, reply: `${inbox}.r.${id}`, headers: '', payload });
          return;
        }
        frames.publish({
          subject: bareLane.subject,
          reply: `${inbox}.a.${id}`,
          headers: `NATS/1.0\r\n${bareLane.replyHeader}: ${inbox}.r.${id}\r\n\r\n`,
          payload,
        });
      });
    },
    valuesOf: (values: Float32Array) => values,
  };
};
