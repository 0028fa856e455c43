/** The request/reply door for plain NATS clients: `<ns>.infer.<model>[.<version or label>]`. */
import type { TroupeError } from '../errors/troupe-error.js';
import { createFramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { encodeAnswer, readWireHeaders } from './wire-headers.js';

/** A request as it came through the door. */
export interface IngressRequest {
  /** What follows `<ns>.infer.`, by tokens. */
  readonly tokens: readonly string[];
  readonly payload: Uint8Array;
  /** `undefined`: JSON only; `NaN`: the header is there and is not a number. */
  readonly jsonLength: number | undefined;
  /** The caller's inbox; `undefined` where it does not want an answer. */
  readonly replyTo: string | undefined;
  readonly requestId: string | undefined;
  /** `NaN` where the header is there and is not a number. */
  readonly budgetMs: number | undefined;
  readonly sticky: string | undefined;
  readonly traceparent: string | undefined;
}

/** Hears the door as one of the queue group of coordinators. Returns how to stop (UNSUB confirmed by the server). */
export function serveIngress(
  link: NatsLink,
  onRequest: (request: IngressRequest) => void,
): () => Promise<void> {
  const prefixTokens = link.subjects.inferAll.split('.').length - 1;
  const subscription = link.connection.subscribe(link.subjects.inferAll, {
    queue: 'coordinators',
    callback: (error, msg) => {
      if (error !== null) return;
      const { budgetMs, jsonLength, requestId, sticky, traceparent } = readWireHeaders(msg);
      onRequest({
        tokens: msg.subject.split('.').slice(prefixTokens),
        payload: msg.data,
        jsonLength,
        replyTo: msg.reply === undefined || msg.reply === '' ? undefined : msg.reply,
        requestId,
        budgetMs,
        sticky,
        traceparent,
      });
    },
  });
  return async () => {
    if (link.isConnected()) await subscription.drain().catch(() => undefined);
  };
}

/** Answers a caller of the door with an error. */
export function answerIngress(link: NatsLink, replyTo: string, error: TroupeError): void {
  if (!link.isConnected()) return;
  const { headers, payload } = encodeAnswer(error);
  createFramePublisher(link.connection).publish({ subject: replyTo, reply: '', headers, payload });
}
