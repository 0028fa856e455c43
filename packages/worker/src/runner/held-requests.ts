/**
 * The requests that a runner holds: every message that it took from the stream and has neither acked nor handed
 * back. Owns what the host can read about them, and the in-progress acks.
 *
 * Invariants
 * H1  A message is in the book before anything is done with it: `record()` is called before decoding.
 * H2  A message that lapsed and came again while it was held, and a repeat of a held request by its client, join the
 *     request that is there: it runs once, is answered once, and all its messages are acked.
 * H3  A request that was released is never answered, acked or handed back again.
 */
import type { TroupeError, WireMessage } from '@troupe/shared';
import type { WorkMessage } from '@troupe/shared/nats';
import type { Holdings } from '../ipc/holdings-book.js';
import type { BatchJob } from './batcher.js';
import type { Lane } from './lane.js';

/** A request in this runner's hands. */
export interface HeldRequest {
  readonly lane: Lane;
  /** The latest delivery of the message. */
  message: WorkMessage;
  /** Repeats of the same request by its client, to be acked with it. */
  readonly repeats: WorkMessage[];
  /** Once it was opened. */
  job: BatchJob | undefined;
  released: boolean;
  /** Where it stands among those that are held. */
  index: number;
}

/** All lanes of a runner are of one model, and so of one stream. */
const keyOf = ({ ref }: WorkMessage) => ref.streamSequence;

/** See the file's head. */
export class HeldRequests {
  readonly #book: Holdings;
  /** In no order. Not a Map: what has passed through it would stay (`SlotTable`). */
  readonly #held: HeldRequest[] = [];
  #messages = 0;
  #hasNews = false;
  #hasUrgentNews = false;

  constructor(book: Holdings) {
    this.#book = book;
  }

  /** Messages that are held, repeats included: what counts against the credits. */
  get size(): number {
    return this.#messages;
  }

  /** Of these, the messages of one lane. */
  sizeOf(lane: Lane): number {
    let count = 0;
    for (const held of this.#held) if (held.lane === lane) count += 1 + held.repeats.length;
    return count;
  }

  /** Whether there is something to record. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /** What was let go may wait for company: should it not be recorded, the host hands back what the server has acked. */
  get hasUrgentNews(): boolean {
    return this.#hasUrgentNews;
  }

  /** All requests that are held, each once. */
  requests(): readonly HeldRequest[] {
    return [...this.#held];
  }

  /** Takes a message in hand; `undefined` where it joined a request that is held already (H2). */
  take(lane: Lane, message: WorkMessage): HeldRequest | undefined {
    this.#book.take(message.ref, message.arrivedAtMs);
    this.#hasUrgentNews = true;
    this.#hasNews = true;
    // Nearly all come for the first time, and nothing is to be looked for.
    if ((message.ref.delivery > 1 || message.repeated === true) && this.#join(lane, message))
      return undefined;
    const index = this.#held.length;
    const held: HeldRequest = { lane, message, repeats: [], job: undefined, released: false, index };
    this.#held.push(held);
    this.#messages += 1;
    return held;
  }

  /** Answers once, acks all, and lets go. */
  answer(held: HeldRequest, answer: WireMessage | TroupeError): void {
    if (!this.#release(held)) return;
    held.lane.answer(held.message, answer);
    for (const repeat of held.repeats) held.lane.ack(repeat);
  }

  /** Acks without an answer, and lets go. */
  drop(held: HeldRequest): void {
    if (!this.#release(held)) return;
    for (const message of [held.message, ...held.repeats]) held.lane.ack(message);
  }

  /** Lets go without a word to the server, which delivers it again after `ack_wait`. */
  lapse(held: HeldRequest): void {
    this.#release(held);
  }

  /** Gives all its messages back to be delivered elsewhere, at once or later, and lets go. The number of messages. */
  handBack(held: HeldRequest, delayMs?: number): number {
    if (!this.#release(held)) return 0;
    for (const message of [held.message, ...held.repeats]) held.lane.handBack(message, delayMs);
    return 1 + held.repeats.length;
  }

  /** Sends in-progress acks for what has been held since before `beforeMs`. */
  renew(beforeMs: number): void {
    for (const held of this.#held) {
      for (const message of [held.message, ...held.repeats]) {
        if (message.arrivedAtMs > beforeMs) continue;
        if (!held.lane.inProgress(message)) continue;
        this.#book.renew(keyOf(message));
        this.#hasUrgentNews = true;
        this.#hasNews = true;
      }
    }
  }

  /** Puts what is new into the book, in one write. */
  record(): void {
    if (!this.#hasNews) return;
    this.#hasUrgentNews = false;
    this.#hasNews = false;
    this.#book.flush();
  }

  /** Whether the message is of a request that is held (H2). */
  #join(lane: Lane, message: WorkMessage): boolean {
    const key = keyOf(message);
    for (const held of this.#held) {
      // Its ack lapsed in our hands. The new delivery's ack subject is the one that counts from here on.
      const index = held.repeats.findIndex((repeat) => keyOf(repeat) === key);
      if (index >= 0) held.repeats[index] = message;
      else if (keyOf(held.message) === key) held.message = message;
      else continue;
      return true;
    }
    const earlier = this.#held.find((held) => held.lane === lane && isSameRequest(held.message, message));
    if (earlier === undefined) return false;
    earlier.repeats.push(message);
    this.#messages += 1;
    return true;
  }

  #release(held: HeldRequest): boolean {
    if (held.released) return false;
    held.released = true;
    const last = this.#held.pop() as HeldRequest;
    if (last !== held) {
      this.#held[held.index] = last;
      last.index = held.index;
    }
    this.#book.release(keyOf(held.message));
    for (const repeat of held.repeats) this.#book.release(keyOf(repeat));
    this.#messages -= 1 + held.repeats.length;
    this.#hasNews = true;
    return true;
  }
}

/** Callers choose ids: only with the same inbox and the same bytes it is the same request of the same client. */
function isSameRequest(left: WorkMessage, right: WorkMessage): boolean {
  if (left.replyTo === undefined || left.replyTo !== right.replyTo) return false;
  return left.requestId === right.requestId && isSamePayload(left, right);
}

function isSamePayload(left: WorkMessage, right: WorkMessage): boolean {
  return left.jsonLength === right.jsonLength && Buffer.compare(left.payload, right.payload) === 0;
}
