/**
 * What a runner does with messages that reach it from a consumer: reads them, answers them, acks them.
 *
 * Invariant: an ack goes out only after its answer, in the same turn and so on the same connection, and never to a server
 * process other than the one that delivered the message: its sequences may mean other messages there.
 */
import type { Msg } from 'nats';
import { defaults } from '../config/defaults.js';
import type { TroupeError } from '../errors/troupe-error.js';
import type { WireMessage } from '../protocol/infer-message.js';
import { buildAckSubject, createAckSubjectReader, type MessageRef } from './ack-subject.js';
import type { FramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { createServerClock } from './server-clock.js';
import { encodeAnswer, readWireHeaders } from './wire-headers.js';
import type { WorkSource } from './work-source.js';

/** A request as a runner takes it from the stream. */
export interface WorkMessage {
  readonly payload: Uint8Array;
  /** `undefined`: JSON only; `NaN`: the header is there and is not a number. */
  readonly jsonLength: number | undefined;
  /** Where the answer goes; `undefined` where the publisher did not say. */
  readonly replyTo: string | undefined;
  /** Second inbox, told once the answer is out. */
  readonly doneTo: string | undefined;
  readonly requestId: string;
  /** What was left of the deadline at arrival, time in the queue taken off, in milliseconds; may be negative. */
  readonly budgetMs: number;
  readonly pinned: boolean;
  /** The version that was asked for, where its run failed there and it is repeated here; see `publishRepeat`. */
  readonly askedVersion?: number;
  /** It did not fail by itself: it was in the hands of a runner that died. */
  readonly suspect?: boolean;
  /** Its client has published the request before: the first copy may be held, too. */
  readonly repeated?: boolean;
  readonly traceparent: string | undefined;
  readonly ref: MessageRef;
  /** Monotonic, in milliseconds. */
  readonly arrivedAtMs: number;
  /** How long it was in the stream before, by the estimate so far, in milliseconds. */
  readonly queuedMs: number;
  /** The server process that delivered it. */
  readonly serverId?: string | undefined;
}

/** The messages of one consumer. */
export interface WorkDeliveries {
  /** `undefined` where it is none: a status, or a message of somebody else. */
  read(msg: Msg, arrivedAtMs: number): WorkMessage | undefined;
  /** Publishes the answer, tells `doneTo`, and acks. */
  answer(message: WorkMessage, answer: WireMessage | TroupeError): void;
  /** Acks without an answer: the request was cancelled, or answered before. */
  ack(message: WorkMessage): void;
  /** Gives the message back to be delivered elsewhere, at once or after so many milliseconds (a whole number). */
  giveBack(message: WorkMessage, delayMs?: number): void;
  /** Tells the server that the message is still worked on: restarts its `ack_wait`. */
  inProgress(message: WorkMessage): void;
}

const emptyPayload = new Uint8Array(0);
const nakPayload = Buffer.from('-NAK');
const inProgressPayload = Buffer.from('+WPI');

/** Of one source, on this link. */
export function createWorkDeliveries(
  link: NatsLink,
  frames: FramePublisher,
  { stream, consumer, ackPrefix }: WorkSource,
): WorkDeliveries {
  const clock = createServerClock();
  const readAckSubject = createAckSubjectReader(stream, consumer, ackPrefix);

  function sendAck(message: WorkMessage, payload: Uint8Array): void {
    if (!mayAck(message)) return;
    frames.publish({ subject: buildAckSubject(message.ref), reply: '', headers: '', payload });
  }

  function mayAck(message: WorkMessage): boolean {
    return link.isConnected() && message.serverId === link.serverId();
  }

  return {
    read(msg, arrivedAtMs) {
      const ref = msg.reply ? readAckSubject(msg.reply) : undefined;
      if (ref === undefined) return undefined;
      const queuedMs = clock.queuedMs(ref.storedAtMs, arrivedAtMs);
      const found = readWireHeaders(msg);
      const { budgetMs } = found;
      return {
        payload: msg.data,
        jsonLength: found.jsonLength,
        replyTo: found.reply,
        doneTo: found.done,
        requestId: found.requestId ?? `${ref.stream}:${ref.streamSequence}`,
        budgetMs:
          (budgetMs === undefined || Number.isNaN(budgetMs) ? defaults.deadlineMs : budgetMs) - queuedMs,
        pinned: found.pinned === true,
        ...(found.askedVersion === undefined
          ? {}
          : { askedVersion: found.askedVersion, suspect: found.suspect === true }),
        ...(found.attempt === undefined ? {} : { repeated: true }),
        traceparent: found.traceparent,
        ref,
        arrivedAtMs,
        queuedMs,
        serverId: link.serverId(),
      };
    },
    answer(message, answer) {
      if (!link.isConnected()) return;
      const { doneTo, replyTo } = message;
      const ackSubject = mayAck(message) ? buildAckSubject(message.ref) : undefined;
      if (replyTo !== undefined) {
        const { headers, payload } = encodeAnswer(answer);
        const frame = { subject: replyTo, reply: '', headers, payload };
        // Answer and ack in one piece, the usual case.
        if (doneTo === undefined) return frames.publish(frame, ackSubject);
        frames.publish(frame);
      }
      if (doneTo !== undefined)
        frames.publish({ subject: doneTo, reply: '', headers: '', payload: emptyPayload }, ackSubject);
      else sendAck(message, emptyPayload);
    },
    ack: (message) => sendAck(message, emptyPayload),
    giveBack: (message, delayMs) =>
      sendAck(
        message,
        delayMs === undefined ? nakPayload : Buffer.from(`-NAK {"delay":${delayMs * 1_000_000}}`),
      ),
    inProgress: (message) => sendAck(message, inProgressPayload),
  };
}
