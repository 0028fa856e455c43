/** Cancels: a runner drops what it holds under a request id, a coordinator deletes what is still queued. */
import { asTroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import type { NatsLink } from './nats-link.js';
import { deleteWorkMessage, readWorkMessage } from './work-lane.js';

/** A cancel (wire format). */
export interface CancelMessage {
  /** Request id; callers may choose it, so it alone does not tell two requests apart. */
  readonly id: string;
  /** Where the answer would have gone; only a request with this inbox is meant. */
  readonly replyTo?: string;
  /** Of the request in the model's stream, where its PubAck came. */
  readonly streamSequence?: number;
}

const textEncoder = new TextEncoder();

/** Sends a cancel; a lost one costs a run whose answer nobody awaits. */
export function publishCancel(link: NatsLink, model: string, version: number, cancel: CancelMessage): void {
  if (!link.isConnected()) return;
  link.connection.publish(link.subjects.cancel(model, version), textEncoder.encode(JSON.stringify(cancel)));
}

function parseCancel(text: string): CancelMessage | undefined {
  try {
    const value = JSON.parse(text) as Partial<CancelMessage> | null;
    if (typeof value?.id !== 'string') return undefined;
    const sequence = value.streamSequence;
    return {
      id: value.id,
      ...(typeof value.replyTo === 'string' ? { replyTo: value.replyTo } : {}),
      ...(Number.isSafeInteger(sequence) ? { streamSequence: sequence as number } : {}),
    };
  } catch {
    // Not ours; a cancel is a hint and nobody waits for an answer to it.
    return undefined;
  }
}

/** Hears the cancels of a version (runner). Returns how to stop. */
export function subscribeCancels(
  link: NatsLink,
  model: string,
  version: number,
  onCancel: (cancel: CancelMessage) => void,
): () => void {
  const subscription = link.connection.subscribe(link.subjects.cancel(model, version), {
    callback: (error, msg) => {
      if (error !== null) return;
      const cancel = parseCancel(msg.string());
      if (cancel !== undefined) onCancel(cancel);
    },
  });
  return () => subscription.unsubscribe();
}

/**
 * Deletes the message under a sequence only where it is still the cancelled request: after a restart of a broker
 * with memory streams the same sequence is somebody else's.
 */
async function deleteCancelled(link: NatsLink, model: string, cancel: CancelMessage): Promise<void> {
  if (cancel.streamSequence === undefined) return;
  const message = await readWorkMessage(link, model, cancel.streamSequence);
  if (message?.header.get(Header.RequestId) !== cancel.id) return;
  if (cancel.replyTo !== undefined && message.header.get(Header.Reply) !== cancel.replyTo) return;
  await deleteWorkMessage(link, model, cancel.streamSequence);
}

/** Deletes cancelled requests that are still queued (coordinators, one of the queue group each). */
export function serveCancels(link: NatsLink, onError: (error: unknown) => void): () => void {
  const subscription = link.connection.subscribe(link.subjects.cancelAll, {
    queue: 'coordinators',
    callback: (error, msg) => {
      if (error !== null) return;
      const cancel = parseCancel(msg.string());
      const model = msg.subject.split('.').at(-2);
      if (cancel === undefined || model === undefined) return;
      deleteCancelled(link, model, cancel).catch((failure: unknown) => onError(asTroupeError(failure)));
    },
  });
  return () => subscription.unsubscribe();
}
