/**
 * Ack subjects of JetStream: `$JS.ACK.<stream>.<consumer>.<delivery>.<stream seq>.<consumer seq>.<stored ns>.<pending>`.
 * The last two fields carry no meaning for the server, so the subject can be rebuilt from the rest (tried on
 * nats-server 2.9.10, 2.10.27 and 2.15.1). Newer servers put a domain and an account hash in front.
 */

/** A delivered message of a stream, by what its ack subject says. */
export interface MessageRef {
  readonly stream: string;
  readonly consumer: string;
  /** 1 on the first delivery. */
  readonly delivery: number;
  readonly streamSequence: number;
  readonly consumerSequence: number;
}

/** A reference with the server's clock at the time of storing, in milliseconds since the epoch. */
export interface ParsedAckSubject extends MessageRef {
  readonly storedAtMs: number;
}

/** Reads an ack subject; `undefined` where it is none. */
export function parseAckSubject(subject: string): ParsedAckSubject | undefined {
  const tokens = subject.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined;
  // 9 tokens, or 11 and more with domain and account hash after 'ACK'.
  const first = tokens.length >= 11 ? 4 : 2;
  const [stream, consumer, delivery, streamSequence, consumerSequence, stored] = tokens.slice(
    first,
    first + 6,
  );
  if (stream === undefined || consumer === undefined || stored === undefined) return undefined;
  return {
    stream,
    consumer,
    delivery: Number(delivery),
    streamSequence: Number(streamSequence),
    consumerSequence: Number(consumerSequence),
    // Nanoseconds do not fit a double: the last six digits are dropped as text.
    storedAtMs: Number(stored.slice(0, -6)),
  };
}

/** The ack subject of a delivery, for acks on behalf of somebody else. */
export function buildAckSubject(ref: MessageRef): string {
  return `$JS.ACK.${ref.stream}.${ref.consumer}.${ref.delivery}.${ref.streamSequence}.${ref.consumerSequence}.0.0`;
}
