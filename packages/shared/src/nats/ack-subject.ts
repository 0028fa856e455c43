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

/**
 * A reader for the ack subjects of one consumer, whose messages it reads in a fraction of the time: the names are
 * known, and what is left are five numbers.
 */
export function createAckSubjectReader(
  stream: string,
  consumer: string,
  prefix = `$JS.ACK.${stream}.${consumer}.`,
): (subject: string) => ParsedAckSubject | undefined {
  return (subject) => {
    if (!subject.startsWith(prefix)) return parseAckSubject(subject);
    const second = subject.indexOf('.', prefix.length) + 1;
    const third = subject.indexOf('.', second) + 1;
    const fourth = subject.indexOf('.', third) + 1;
    const end = subject.indexOf('.', fourth);
    if (second === 0 || third === 0 || fourth === 0 || end < 0) return parseAckSubject(subject);
    return {
      stream,
      consumer,
      delivery: Number(subject.slice(prefix.length, second - 1)),
      streamSequence: Number(subject.slice(second, third - 1)),
      consumerSequence: Number(subject.slice(third, fourth - 1)),
      storedAtMs: Number(subject.slice(fourth, end - 6)),
    };
  };
}

/** The ack subject of a delivery, for acks on behalf of somebody else. */
export function buildAckSubject(ref: MessageRef): string {
  return `$JS.ACK.${ref.stream}.${ref.consumer}.${ref.delivery}.${ref.streamSequence}.${ref.consumerSequence}.0.0`;
}
