/**
 * Walks untrusted protobuf messages within fixed bounds of parts, names and depth.
 *
 * Called by the model reader. Reads nested messages in place and never copies a payload: what nobody asked for is
 * skipped by its length. A known field with another wire type than expected is skipped too, as protobuf's own
 * parser does.
 */

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/**
 * Bounds of one walk. A model of 100,000 nodes has about half a million messages; protobuf's C++ parser, which
 * ONNX Runtime uses, itself stops at a depth of 100.
 */
const walkLimits = {
  messageCount: 2_000_000,
  fieldCount: 20_000_000,
  depth: 100,
  nameBytes: 65_536,
} as const;

/** Thrown inside a walk when a bound is passed; the reader turns it into a result. */
export class WalkLimitError extends Error {
  override readonly name = 'WalkLimitError';
}

/** What to do with one field of a message; `state` is what the walk of this message gathers. */
export interface FieldHandler<S> {
  readonly wireType: WireType;
  readonly read: (walk: MessageWalk, state: S) => void;
}

/** Handlers by field number; fields without one are skipped. Built once, not for each message. */
export type FieldHandlers<S> = Readonly<Record<number, FieldHandler<S>>>;

/** One walk over one file: counts what it has seen over all its messages. */
export class MessageWalk {
  readonly #bytes: Uint8Array;
  readonly #reader: BinaryReader;
  #end: number;
  #messageCount = 0;
  #fieldCount = 0;
  #depth = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#reader = new BinaryReader(bytes);
    this.#end = bytes.length;
  }

  /** Reads the file's own message. Throws WalkLimitError, or another Error where the bytes are no message. */
  root<S>(handlers: FieldHandlers<S>, state: S): void {
    this.#message(handlers, state);
  }

  /** Reads the message that the current field holds. */
  nested<S>(handlers: FieldHandlers<S>, state: S): void {
    const outerEnd = this.#end;
    this.#end = this.#length() + this.#reader.pos;
    this.#message(handlers, state);
    this.#end = outerEnd;
  }

  /** The name that the current field holds. Bytes that are not UTF-8 are replaced by U+FFFD. */
  text(): string {
    const lengthBytes = this.#length();
    if (lengthBytes > walkLimits.nameBytes) {
      throw new WalkLimitError(`a name of ${lengthBytes} bytes, the limit is ${walkLimits.nameBytes}`);
    }
    const start = this.#reader.pos;
    this.#reader.pos += lengthBytes;
    return decoder.decode(this.#bytes.subarray(start, start + lengthBytes));
  }

  /** The integer that the current field holds. Beyond 2^53 it loses its last digits; no decision depends on them. */
  integer(): number {
    return Number(this.#reader.int64());
  }

  /** The length of what the current field holds, which must end within its message. */
  #length(): number {
    const lengthBytes = this.#reader.uint32();
    if (this.#reader.pos + lengthBytes > this.#end) {
      throw new RangeError(`a part of ${lengthBytes} bytes does not fit at byte ${this.#reader.pos}`);
    }
    return lengthBytes;
  }

  #message<S>(handlers: FieldHandlers<S>, state: S): void {
    this.#messageCount += 1;
    if (this.#messageCount > walkLimits.messageCount) {
      throw new WalkLimitError(`more than ${walkLimits.messageCount} parts`);
    }
    this.#depth += 1;
    if (this.#depth > walkLimits.depth) {
      throw new WalkLimitError(`nested deeper than ${walkLimits.depth} levels`);
    }
    const reader = this.#reader;
    while (reader.pos < this.#end) {
      this.#fieldCount += 1;
      if (this.#fieldCount > walkLimits.fieldCount) {
        throw new WalkLimitError(`more than ${walkLimits.fieldCount} fields`);
      }
      const [field, wireType] = reader.tag();
      const handler = handlers[field];
      if (handler?.wireType === wireType) {
        handler.read(this, state);
      } else {
        reader.skip(wireType, field);
      }
    }
    if (reader.pos > this.#end) {
      throw new RangeError(`a field passes the end of its message at byte ${this.#end}`);
    }
    this.#depth -= 1;
  }
}

/** A field that holds a message: `read` calls `walk.nested`. */
export function nested<S>(read: (walk: MessageWalk, state: S) => void): FieldHandler<S> {
  return { wireType: WireType.LengthDelimited, read };
}

/** A field that holds a name. */
export function text<S>(take: (state: S, value: string) => void): FieldHandler<S> {
  return { wireType: WireType.LengthDelimited, read: (walk, state) => take(state, walk.text()) };
}

/** A field that holds an integer. */
export function integer<S>(take: (state: S, value: number) => void): FieldHandler<S> {
  return { wireType: WireType.Varint, read: (walk, state) => take(state, walk.integer()) };
}

// Kept between calls because building one costs more than decoding a name.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
