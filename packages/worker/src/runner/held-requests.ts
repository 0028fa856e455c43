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
}

/** All lanes of a runner are of one model, and so of one stream. */
const keyOf = ({ ref }: WorkMessage) => ref.streamSequence;

/** See the file's head. */
export class HeldRequests {
  readonly #book: Holdings;
  readonly #byMessage = new Map<number, HeldRequest>();
  readonly #byRepeat = new RepeatTable();
  #hasNews = false;
  #hasUrgentNews = false;

  constructor(book: Holdings) {
    this.#book = book;
  }

  /** Messages that are held, repeats included: what counts against the credits. */
  get size(): number {
    return this.#byMessage.size;
  }

  /** Of these, the messages of one lane. */
  sizeOf(lane: Lane): number {
    let count = 0;
    for (const held of this.#byMessage.values()) if (held.lane === lane) count += 1;
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
  requests(): ReadonlySet<HeldRequest> {
    return new Set(this.#byMessage.values());
  }

  /** Takes a message in hand; `undefined` where it joined a request that is held already (H2). */
  take(lane: Lane, message: WorkMessage): HeldRequest | undefined {
    this.#book.take(message.ref, message.arrivedAtMs);
    this.#hasUrgentNews = true;
    this.#hasNews = true;
    const key = keyOf(message);
    const sameMessage = this.#byMessage.get(key);
    if (sameMessage !== undefined) {
      // Its ack lapsed in our hands. The new delivery's ack subject is the one that counts from here on.
      const index = sameMessage.repeats.findIndex((repeat) => keyOf(repeat) === key);
      if (index >= 0) sameMessage.repeats[index] = message;
      else sameMessage.message = message;
      return undefined;
    }
    const earlier = this.#byRepeat.find(message);
    if (earlier !== undefined && earlier.lane === lane && isSamePayload(earlier.message, message)) {
      earlier.repeats.push(message);
      this.#byMessage.set(key, earlier);
      return undefined;
    }
    const held: HeldRequest = { lane, message, repeats: [], job: undefined, released: false };
    this.#byMessage.set(key, held);
    if (earlier === undefined) this.#byRepeat.add(held);
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

  /** Gives all its messages back to be delivered elsewhere, and lets go. The number of messages. */
  handBack(held: HeldRequest): number {
    if (!this.#release(held)) return 0;
    for (const message of [held.message, ...held.repeats]) held.lane.handBack(message);
    return 1 + held.repeats.length;
  }

  /** Sends in-progress acks for what has been held since before `beforeMs`. */
  renew(beforeMs: number): void {
    for (const held of this.requests()) {
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

  #release(held: HeldRequest): boolean {
    if (held.released) return false;
    held.released = true;
    this.#forget(held.message);
    for (const repeat of held.repeats) this.#forget(repeat);
    this.#byRepeat.remove(held);
    return true;
  }

  #forget(message: WorkMessage): void {
    const key = keyOf(message);
    this.#byMessage.delete(key);
    this.#book.release(key);
    this.#hasNews = true;
  }
}

/**
 * Held requests by reply inbox and id: where both are the same it is the same request of the same client, unless the
 * bytes say otherwise. By id alone first, since ids that are made up are unique, and only callers' own may not be.
 */
class RepeatTable {
  readonly #byId = new Map<string, HeldRequest>();
  readonly #byBoth = new Map<string, HeldRequest>();

  find(message: WorkMessage): HeldRequest | undefined {
    const { replyTo, requestId } = message;
    if (replyTo === undefined) return undefined;
    const likely = this.#byId.get(requestId);
    if (likely?.message.replyTo === replyTo) return likely;
    return this.#byBoth.size > 0 ? this.#byBoth.get(bothOf(message)) : undefined;
  }

  add(held: HeldRequest): void {
    const { replyTo, requestId } = held.message;
    if (replyTo === undefined) return;
    if (this.#byId.has(requestId)) this.#byBoth.set(bothOf(held.message), held);
    else this.#byId.set(requestId, held);
  }

  remove(held: HeldRequest): void {
    const { requestId } = held.message;
    if (this.#byId.get(requestId) === held) this.#byId.delete(requestId);
    else if (this.#byBoth.get(bothOf(held.message)) === held) this.#byBoth.delete(bothOf(held.message));
  }
}

const bothOf = ({ replyTo, requestId }: WorkMessage) => `${replyTo}\n${requestId}`;

function isSamePayload(left: WorkMessage, right: WorkMessage): boolean {
  return left.jsonLength === right.jsonLength && Buffer.compare(left.payload, right.payload) === 0;
}
