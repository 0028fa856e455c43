/**
 * Remembers the JSON parts of binary messages: those of one model and shape are the same bytes each time, so that what
 * they say is worked out once, and neither side parses or writes JSON for the next. Purely a cache: a message that
 * does not fit what is remembered goes the long way, which also finds the words for what is wrong with it.
 */

import type { NumericDatatype } from './datatype.js';
import type { WireMessage } from './infer-message.js';
import type { Tensor } from './tensor.js';

/** Where a binary tensor lies behind the JSON part. */
export interface TensorPart {
  readonly name: string;
  readonly datatype: NumericDatatype;
  readonly shape: readonly number[];
  /** From the first byte behind the JSON part. */
  readonly start: number;
  readonly end: number;
}

interface Entry<T> {
  readonly head: Buffer;
  readonly value: T;
}

/** Kinds of message in use at once: batch sizes of one model, mostly. */
const capacity = 32;
/** Longer ones are rare, and their tensors outweigh the parsing. */
const maxHeadBytes = 4_096;

/** What was learnt from each JSON part, by its bytes; the ones in use stay in front. */
export class HeadCache<T> {
  readonly #entries: Entry<T>[] = [];

  find(payload: Uint8Array, jsonLength: number | undefined): T | undefined {
    if (jsonLength === undefined) return undefined;
    const entries = this.#entries;
    for (let index = 0; index < entries.length; index += 1) {
      const entry = entries[index] as Entry<T>;
      const { head } = entry;
      if (head.length !== jsonLength || jsonLength > payload.byteLength) continue;
      if (head.compare(payload, 0, jsonLength) !== 0) continue;
      if (index > 0) {
        entries[index] = entries[index - 1] as Entry<T>;
        entries[index - 1] = entry;
      }
      return entry.value;
    }
    return undefined;
  }

  /** Remembers what a JSON part that was not found says. */
  learn(payload: Uint8Array, jsonLength: number, value: T): void {
    if (jsonLength > maxHeadBytes) return;
    if (this.#entries.length >= capacity) this.#entries.pop();
    this.#entries.push({ head: Buffer.from(payload.subarray(0, jsonLength)), value });
  }
}

/**
 * The places of a decoded message's tensors, where its JSON part alone says all of them: each is numeric, in binary
 * form, and any bytes are elements of it (those of BOOL have to be looked at each time). Else `undefined`.
 */
export function partsOf(
  payload: Uint8Array,
  jsonLength: number | undefined,
  tensors: readonly Tensor[],
): readonly TensorPart[] | undefined {
  if (jsonLength === undefined || jsonLength === 0) return undefined;
  const base = payload.byteOffset + jsonLength;
  const parts: TensorPart[] = [];
  let next = 0;
  for (const { data, datatype, name, shape } of tensors) {
    if (datatype === 'BYTES' || datatype === 'BOOL' || !(data instanceof Uint8Array)) return undefined;
    if (data.buffer !== payload.buffer || data.byteOffset !== base + next) return undefined;
    const end = next + data.byteLength;
    parts.push({ name, datatype, shape, start: next, end });
    next = end;
  }
  return next === payload.byteLength - jsonLength ? parts : undefined;
}

/** The tensors of a message whose JSON part is known, as views; `undefined` where its length is not what that says. */
export function readParts(
  parts: readonly TensorPart[],
  payload: Uint8Array,
  jsonLength: number,
): Tensor[] | undefined {
  if (payload.byteLength !== jsonLength + (parts.at(-1)?.end ?? 0)) return undefined;
  const base = payload.byteOffset + jsonLength;
  const tensors: Tensor[] = [];
  for (const { datatype, end, name, shape, start } of parts) {
    tensors.push({ name, datatype, shape, data: new Uint8Array(payload.buffer, base + start, end - start) });
  }
  return tensors;
}

/** The JSON part of a message that was just written, if others of the same shapes may begin with it. */
export function reusableHead(message: WireMessage, tensors: readonly Tensor[]): Buffer | undefined {
  const { jsonLength, payload } = message;
  if (jsonLength === undefined || jsonLength > maxHeadBytes) return undefined;
  let bytes = 0;
  for (const { data } of tensors) {
    if (!(data instanceof Uint8Array)) return undefined;
    bytes += data.byteLength;
  }
  return bytes === payload.byteLength - jsonLength ? Buffer.from(payload.subarray(0, jsonLength)) : undefined;
}

/**
 * The message of a known JSON part and numeric tensors that fit it: one copy of each, into the memory that `allocate`
 * gives where it is not to be fresh.
 */
export function joinMessage(
  head: Buffer,
  tensors: readonly Tensor[],
  allocate: (bytes: number) => Uint8Array = (bytes) => Buffer.allocUnsafe(bytes),
): WireMessage {
  const jsonLength = head.length;
  let size = jsonLength;
  for (const { data } of tensors) size += (data as Uint8Array).byteLength;
  const payload = allocate(size);
  payload.set(head);
  let next = jsonLength;
  for (const { data } of tensors) {
    payload.set(data as Uint8Array, next);
    next += data.length;
  }
  return { payload, jsonLength };
}
