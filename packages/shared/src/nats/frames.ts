/**
 * Publishes whole frames: protocol line, headers and payload in one piece of memory, which costs a fraction of the
 * library's own way (four pieces, each encoded, then joined). Used on the hot path, by submitter and puller; the
 * library still owns the connection, its order and its flushes.
 */
import { type NatsConnection, NatsError } from 'nats';
import { frameSender } from './library-sending.js';

/** A publish by its parts. Subjects and headers were checked by whoever names them: they must hold no line breaks. */
export interface Frame {
  readonly subject: string;
  /** Subject of the reply, '' for none. */
  readonly reply: string;
  /** The header block from `NATS/1.0` to the empty line, '' for none. */
  readonly headers: string;
  readonly payload: Uint8Array;
}

/** Sends frames on one connection. */
export interface FramePublisher {
  /**
   * Publishes, and right behind it an empty message to `then` where given. Throws where the connection is closed for
   * good, or the server does not take as much.
   */
  publish(frame: Frame, then?: string): void;
}

const emptyPayload = new Uint8Array(0);

/** The sender of a connection. */
export function createFramePublisher(connection: NatsConnection): FramePublisher {
  const sender = frameSender(connection);
  if (sender === undefined) return publicPublisher(connection);
  return {
    publish(frame, then) {
      if (connection.isClosed()) throw new NatsError('the connection is closed', 'CONNECTION_CLOSED');
      const { end, start } = enclose(frame, then, connection.info?.max_payload);
      const { payload } = frame;
      if (payload.byteLength < largeBytes) sender.send(join(start, payload, end));
      else sender.sendPieces([Buffer.from(start), payload, Buffer.from(end)]);
    },
  };
}

/** From here on a copy costs more than the further system calls of a frame in pieces. */
const largeBytes = 32 * 1024;

/** What goes before and behind a frame's payload. Throws where all is more than the server takes. */
export function enclose(
  { subject, reply, headers, payload }: Frame,
  then?: string,
  maxPayloadBytes = Number.POSITIVE_INFINITY,
): { start: string; end: string } {
  const headerBytes = Buffer.byteLength(headers);
  const size = headerBytes + payload.byteLength;
  if (size > maxPayloadBytes) throw new NatsError('MAX_PAYLOAD_EXCEEDED', 'MAX_PAYLOAD_EXCEEDED');
  const to = reply === '' ? subject : `${subject} ${reply}`;
  return {
    start: headerBytes === 0 ? `PUB ${to} ${size}\r\n` : `HPUB ${to} ${headerBytes} ${size}\r\n${headers}`,
    end: then === undefined ? '\r\n' : `\r\nPUB ${then} 0\r\n\r\n`,
  };
}

function join(start: string, payload: Uint8Array, end: string): Buffer {
  const startBytes = Buffer.byteLength(start);
  const frame = Buffer.allocUnsafe(startBytes + payload.byteLength + Buffer.byteLength(end));
  frame.write(start, 0, startBytes === start.length ? 'latin1' : 'utf8');
  frame.set(payload, startBytes);
  frame.write(end, startBytes + payload.byteLength);
  return frame;
}

/** The same by the library's own means. */
function publicPublisher(connection: NatsConnection): FramePublisher {
  return {
    publish({ subject, reply, headers, payload }, then) {
      connection.publish(subject, payload, {
        ...(reply === '' ? {} : { reply }),
        ...(headers === '' ? {} : { headers: { encode: () => Buffer.from(headers) } as never }),
      });
      if (then !== undefined) connection.publish(then, emptyPayload);
    },
  };
}
