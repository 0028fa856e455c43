/**
 * Walks untrusted protobuf messages within fixed bounds of parts, names and depth.
 *
 * Called by the model reader. Never copies a payload: what nobody asked for is skipped by its length. A known
 * field with another wire type than expected is skipped too, as protobuf's own parser does.
 */

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/**
 * Bounds of one walk. A model of 100,000 nodes has about a million messages; protobuf's C++ parser, which ONNX
 * Runtime uses, itself stops at a depth of 100.
 */
export const walkLimits = {
  messageCount: 2_000_000,
  fieldCount: 20_000_000,
  depth: 100,
  nameBytes: 65_536,
} as const;

/** Thrown inside a walk when a bound is passed; the reader turns it into a result. */
export class WalkLimitError extends Error {
  override readonly name = 'WalkLimitError';
}

/** What to do with one field of a message. */
export interface FieldHandler {
  readonly wireType: WireType;
  readonly read: (reader: BinaryReader, walk: MessageWalk) => void;
}

/** Handlers by field number; fields without one are skipped. */
export type FieldHandlers = Readonly<Record<number, FieldHandler>>;

/** One walk over one file: counts what it has seen over all its messages. */
export class MessageWalk {
  #messageCount = 0;
  #fieldCount = 0;
  #depth = 0;

  /** Reads one message. Throws WalkLimitError, or the protobuf library's Error where the bytes are no message. */
  message(bytes: Uint8Array, handlers: FieldHandlers): void {
    this.#messageCount += 1;
    if (this.#messageCount > walkLimits.messageCount) {
      throw new WalkLimitError(`more than ${walkLimits.messageCount} parts`);
    }
    if (this.#depth >= walkLimits.depth) {
      throw new WalkLimitError(`nested deeper than ${walkLimits.depth} levels`);
    }
    this.#depth += 1;
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      this.#fieldCount += 1;
      if (this.#fieldCount > walkLimits.fieldCount) {
        throw new WalkLimitError(`more than ${walkLimits.fieldCount} fields`);
      }
      const [field, wireType] = reader.tag();
      const handler = handlers[field];
      if (handler?.wireType === wireType) {
        handler.read(reader, this);
      } else {
        reader.skip(wireType, field);
      }
    }
    this.#depth -= 1;
  }
}

/** A field that holds a message. */
export function nested(take: (bytes: Uint8Array, walk: MessageWalk) => void): FieldHandler {
  return { wireType: WireType.LengthDelimited, read: (reader, walk) => take(reader.bytes(), walk) };
}

/** A field that holds a name. Bytes that are not UTF-8 are replaced by U+FFFD. */
export function text(take: (value: string) => void): FieldHandler {
  return {
    wireType: WireType.LengthDelimited,
    read: (reader) => {
      const bytes = reader.bytes();
      if (bytes.length > walkLimits.nameBytes) {
        throw new WalkLimitError(`a name of ${bytes.length} bytes, the limit is ${walkLimits.nameBytes}`);
      }
      take(decoder.decode(bytes));
    },
  };
}

/** A field that holds an integer. Beyond 2^53 it loses its last digits, which no decision here depends on. */
export function integer(take: (value: number) => void): FieldHandler {
  return { wireType: WireType.Varint, read: (reader) => take(Number(reader.int64())) };
}

// Kept between calls because building one costs more than decoding a name.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
