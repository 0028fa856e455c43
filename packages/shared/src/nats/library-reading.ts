/**
 * Four shortcuts through the client library's insides, where messages come in: the bytes of their headers, which the
 * library would parse into a map of arrays; room at once for all of a large message; reading what the socket gave where it
 * gave it; and finding whole messages in it in one pass. Each looks for what it needs, and where that is not there the
 * library's own way is gone.
 */
import type { Socket } from 'node:net';
import type { Msg, MsgHdrs, NatsConnection } from 'nats';
import type { MessageMemory } from './message-memory.js';
import { type MessageLine, scanMessages } from './message-scan.js';

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

interface ParserInsides {
  readonly parse?: (bytes: Uint8Array) => void;
  /** Where in the protocol it is. */
  readonly state?: unknown;
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

interface ReadingProtocol {
  readonly parser?: ParserInsides;
  processMsg?(line: MessageLine, data: Uint8Array): void;
}

interface ReadInsides {
  readonly protocol?: ReadingProtocol & {
    readonly transport?: {
      readonly socket?: Socket;
      /** What was read and waits for the parser. */
      readonly yields?: readonly Uint8Array[];
    };
  };
}

/**
 * Reads what comes from the socket in the turn that it comes in. The library hands each piece through an async generator,
 * compiled for runtimes that have none: six promises, of each of which Node before 24 tells
 * `AsyncLocalStorage`. To be called again after a reconnect, which has a socket of its own. `onError` hears why what came
 * could not be read; the library connects again then.
 */
export function readDirectly(connection: NatsConnection, onError: (error: Error) => void): void {
  // In a turn of its own: by then the library has parsed what it had read.
  setImmediate(() => {
    const { protocol } = connection as unknown as ReadInsides;
    const { socket, yields } = protocol?.transport ?? {};
    const [library, ...others] = socket?.listeners('data') ?? [];
    if (socket === undefined || yields?.length !== 0 || library === undefined || others.length > 0) return;
    if (typeof protocol?.parser?.parse !== 'function') return;
    const read = createReader(protocol);
    socket.on('data', (bytes: Uint8Array) => {
      try {
        read(bytes);
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        onError(error);
        socket.destroy(error);
      }
    });
    socket.off('data', library as (bytes: Uint8Array) => void);
  });
}

/** Gives the protocol the messages that came whole, and its parser all else. */
export function createReader(protocol: ReadingProtocol): (bytes: Uint8Array) => void {
  const idle = idleState(protocol.parser);
  const take = (line: MessageLine, data: Uint8Array) => protocol.processMsg?.(line, data);
  if (idle === undefined || typeof protocol.processMsg !== 'function')
    return (bytes) => protocol.parser?.parse?.(bytes);
  return (bytes) => {
    const { parser } = protocol;
    let at = 0;
    while (true) {
      if (parser?.state === idle) at = scanMessages(bytes, at, take);
      if (at === bytes.length) return;
      const end = nextCut(parser, bytes, at);
      parser?.parse?.(bytes.subarray(at, end));
      at = end;
    }
  };
}

/** How far to let the parser go, which takes any cut, so that it is between two messages again as soon as may be. */
function nextCut(parser: ParserInsides | undefined, bytes: Uint8Array, at: number): number {
  const { ma, msgBuf } = parser ?? {};
  if (msgBuf !== undefined && typeof ma?.size === 'number')
    return Math.min(bytes.length, at + ma.size - msgBuf.length + 2);
  const lineEnd = bytes.indexOf(10, at);
  return lineEnd === -1 ? bytes.length : lineEnd + 1;
}

/** The state of a parser between two messages, which is that of a new one. */
function idleState(parser: ParserInsides | undefined): unknown {
  if (parser === undefined) return undefined;
  const Parser = parser.constructor as new (dispatcher: unknown) => ParserInsides;
  return new Parser({ push: () => undefined }).state;
}
