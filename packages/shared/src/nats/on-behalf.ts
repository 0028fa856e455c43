/**
 * What others do for a runner that cannot any more: the host gives back, answers or acks what its dead runner
 * held; the leader takes poison out of the queue.
 */
import { headers, type MsgHdrs } from 'nats';
import type { ErrorReason } from '../errors/error-catalogue.js';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { isAnswerSubject } from '../names/answer-subject.js';
import { Header } from '../names/headers.js';
import { buildAckSubject, type MessageRef } from './ack-subject.js';
import { createFramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { encodeAnswer, readHeader } from './wire-headers.js';
import type { WorkMessage } from './work-deliveries.js';
import { deleteWorkMessage, readWorkMessage } from './work-lane.js';

const nakPayload = new TextEncoder().encode('-NAK');
const emptyPayload = new Uint8Array(0);

/**
 * Gives a delivery back. Only for deliveries younger than `ack_wait` since their last in-progress ack: an older
 * NAK would hit the delivery that somebody else works on by now.
 */
export function nakOnBehalf(link: NatsLink, ref: MessageRef): void {
  if (link.isConnected()) link.connection.publish(buildAckSubject(ref), nakPayload);
}

/** Where the answer to a held message goes. */
export interface AnswerAddress {
  readonly replyTo: string | undefined;
  readonly doneTo: string | undefined;
}

/** Answers a held message with an error and acks it. */
export function answerOnBehalf(
  link: NatsLink,
  ref: MessageRef,
  address: AnswerAddress,
  error: TroupeError,
): void {
  if (!link.isConnected()) return;
  sendError(link, address, error);
  link.connection.publish(buildAckSubject(ref), emptyPayload);
}

function sendError(link: NatsLink, address: AnswerAddress, error: TroupeError): void {
  const { headers: block, payload } = encodeAnswer(error);
  const may = (to: string | undefined): to is string =>
    to !== undefined && isAnswerSubject(to, link.subjects.namespace);
  if (may(address.replyTo)) {
    createFramePublisher(link.connection).publish({
      subject: address.replyTo,
      reply: '',
      headers: block,
      payload,
    });
  }
  if (may(address.doneTo)) link.connection.publish(address.doneTo, emptyPayload);
}

/** Headers of a dead letter beside the original ones (wire format). */
export const DeadHeader = { Reason: 'Troupe-Dead-Reason', Text: 'Troupe-Dead-Text' } as const;

async function publishToDead(
  link: NatsLink,
  model: string,
  version: number,
  payload: Uint8Array,
  original: MsgHdrs | undefined,
  reason: ErrorReason,
  text: string,
): Promise<void> {
  const hdrs = headers();
  for (const key of original?.keys() ?? []) hdrs.set(key, original?.get(key) ?? '');
  hdrs.set(DeadHeader.Reason, reason);
  hdrs.set(DeadHeader.Text, text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 512));
  const js = link.connection.jetstream({ timeout: 5_000 });
  try {
    await js.publish(link.subjects.dead(model, version), payload, { headers: hdrs });
  } catch (error) {
    throw asTroupeError(error, 'nats.failed');
  }
}

/** Keeps a message that a runner gives up on in the dead-letter stream. Rejects with `nats.failed`: then do not ack it. */
export async function publishDead(
  link: NatsLink,
  target: { readonly model: string; readonly version: number },
  message: WorkMessage,
  reason: ErrorReason,
  text: string,
): Promise<void> {
  const original = headers();
  original.set(Header.RequestId, message.requestId);
  if (message.jsonLength !== undefined) original.set(Header.InferenceLength, String(message.jsonLength));
  if (message.traceparent !== undefined) original.set(Header.TraceParent, message.traceparent);
  await publishToDead(link, target.model, target.version, message.payload, original, reason, text);
}

/**
 * Takes a message out of its queue for good: kept among the dead letters, its caller answered with `reason`, then
 * deleted. False where it was gone already.
 */
export async function condemnWorkMessage(
  link: NatsLink,
  target: { readonly model: string; readonly version: number; readonly streamSequence: number },
  reason: ErrorReason,
  text: string,
): Promise<boolean> {
  const stored = await readWorkMessage(link, target.model, target.streamSequence);
  if (stored === undefined) return false;
  await publishToDead(link, target.model, target.version, stored.data, stored.header, reason, text);
  sendError(
    link,
    { replyTo: readHeader(stored.header, Header.Reply), doneTo: readHeader(stored.header, Header.Done) },
    new TroupeError(reason, text),
  );
  return deleteWorkMessage(link, target.model, target.streamSequence);
}
