/**
 * Four shortcuts through the client library's insides, for the hot path: the bytes of a message's headers, which the
 * library would parse into a map of arrays; sending frames that were built whole, which it would join from four pieces
 * each; one write for all that is published in a turn; and room at once for all of a large message. Each looks for what
 * it needs, and where that is not there the library's own way is gone.
 */
import type { Msg, MsgHdrs, NatsConnection } from 'nats';
import type { MessageMemory } from './message-memory.js';

/** What a received message keeps to itself. */
interface MessageInsides {
  /** Headers and payload, one after the other. */
  readonly _rdata?: unknown;
  /** `hdr`: bytes of the headers, -1 where there are none. */
  readonly _msg?: { readonly hdr?: unknown };
}

/** The headers of a message as they came, `NATS/1.0` line included; `undefined` where it has none. */
export function headerText(msg: Msg): string | undefined {
  const { _rdata: bytes, _msg: args } = msg as unknown as MessageInsides;
  const length = args?.hdr;
  if (!(bytes instanceof Uint8Array) || typeof length !== 'number') return publicHeaderText(msg.headers);
  if (length <= 0) return undefined;
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, length);
  return buffer.toString('utf8', 0, length);
}

function publicHeaderText(hdrs: MsgHdrs | undefined): string | undefined {
  if (hdrs === undefined) return undefined;
  let text = hdrs.hasError || hdrs.code > 0 ? `NATS/1.0 ${hdrs.code} ${hdrs.description}` : 'NATS/1.0';
  for (const key of hdrs.keys()) text += `\r\n${key}: ${hdrs.get(key)}`;
  return `${text}\r\n\r\n`;
}

interface ConnectionInsides {
  readonly protocol?: {
    readonly connected?: boolean;
    readonly transport?: { send?(bytes: Uint8Array): void };
    sendCommand?(frame: Uint8Array): void;
  };
}

/** How frames are sent that were built outside of the library. */
export interface FrameSender {
  /** Joins what is published in the same turn, in order. */
  send(frame: Uint8Array): void;
  /** A large frame by its pieces, at once and behind what was published before: joining them would copy them. */
  sendPieces(pieces: readonly Uint8Array[]): void;
}

/** How to send whole frames on a connection; `undefined` where the library does not have what it takes. */
export function frameSender(connection: NatsConnection): FrameSender | undefined {
  const { protocol } = connection as unknown as ConnectionInsides;
  const flush = flushOf(protocol);
  if (typeof protocol?.sendCommand !== 'function' || flush === undefined) return undefined;
  return {
    send: (frame) => protocol.sendCommand?.(frame),
    sendPieces(pieces) {
      flush();
      const { transport } = protocol;
      if (protocol.connected === true && typeof transport?.send === 'function') {
        for (const piece of pieces) transport.send(piece);
      } else for (const piece of pieces) protocol.sendCommand?.(piece);
    },
  };
}

/** The library's own flush, whatever `gatherFlushes` has put before it. */
function flushOf(protocol: object | undefined): (() => void) | undefined {
  const prototype: { flushPending?: unknown } | null =
    protocol === undefined ? null : Object.getPrototypeOf(protocol);
  const flush = prototype?.flushPending;
  return typeof flush === 'function' ? () => flush.call(protocol) : undefined;
}

interface FlushInsides {
  readonly protocol?: { flushPending?: () => void };
}

/**
 * Lets what is published in one turn of the loop leave in one write. The library writes after the first microtask, so
 * that answers which are awaited in several steps, each followed by a request, leave one by one: a system call each,
 * here and at the server. The order of what is sent stays as it is.
 */
export function gatherFlushes(connection: NatsConnection): void {
  const { protocol } = connection as unknown as FlushInsides;
  const flush = protocol?.flushPending;
  if (protocol === undefined || typeof flush !== 'function') return;
  let scheduled = false;
  protocol.flushPending = () => {
    if (scheduled) return;
    scheduled = true;
    // Asked for in a microtask, a tick comes when all microtasks have run.
    process.nextTick(() => {
      scheduled = false;
      flush.call(protocol);
    });
  };
}

interface ParserInsides {
  readonly parse?: (bytes: Uint8Array) => void;
  /** `size`: bytes of the message that is being read. */
  readonly ma?: { readonly size?: unknown };
  /** What of it has come, where it comes in more than one piece. */
  msgBuf?: PartialMessage | undefined;
}

/** What the parser writes the pieces of a message into. */
interface PartialMessage {
  /** Bytes so far. */
  readonly length: number;
  write(piece: Uint8Array): unknown;
  writeByte(byte: number): unknown;
  /** The bytes so far, as a view where no copy is wanted. */
  bytes(options?: { readonly copy?: boolean }): Uint8Array;
}

/**
 * Makes room for all of a message as soon as its first piece has come, in memory that earlier ones lay in. The library
 * doubles its buffer again and again, so that a message of half a megabyte is copied twice and three times its size of
 * memory is cleared for it.
 */
export function presizeMessages(connection: NatsConnection, memory: MessageMemory): void {
  const { protocol } = connection as unknown as { readonly protocol?: { parser?: ParserInsides } };
  if (typeof protocol?.parser?.parse !== 'function') return;
  let present = presizing(protocol.parser, memory);
  // Each connect has a parser of its own.
  Object.defineProperty(protocol, 'parser', {
    configurable: true,
    enumerable: true,
    get: () => present,
    set(parser: ParserInsides) {
      present = presizing(parser, memory);
    },
  });
}

function presizing(parser: ParserInsides, memory: MessageMemory): ParserInsides {
  const { parse } = parser;
  if (typeof parse !== 'function') return parser;
  return Object.assign(parser, {
    parse(bytes: Uint8Array): void {
      parse.call(parser, bytes);
      const { ma, msgBuf } = parser;
      if (msgBuf === undefined || msgBuf instanceof MessageRoom || typeof ma?.size !== 'number') return;
      if (ma.size > msgBuf.length) parser.msgBuf = new MessageRoom(memory.receive(ma.size), msgBuf);
    },
  });
}

/** Room for all of one message. */
class MessageRoom implements PartialMessage {
  readonly #room: Uint8Array;
  #length = 0;

  constructor(room: Uint8Array, begun: PartialMessage) {
    this.#room = room;
    this.write(begun.bytes({ copy: false }));
  }

  get length(): number {
    return this.#length;
  }

  write(piece: Uint8Array): void {
    this.#room.set(piece, this.#length);
    this.#length += piece.byteLength;
  }

  writeByte(byte: number): void {
    this.#room[this.#length] = byte;
    this.#length += 1;
  }

  bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length);
  }
}
