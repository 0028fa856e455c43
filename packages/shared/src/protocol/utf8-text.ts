/** Text and its UTF-8 bytes, without loss in either direction; what has no such form is found here and nowhere else. */
import { isUtf8 } from 'node:buffer';

/** What stands for every byte that is not UTF-8 after decoding. */
const replacement = '\ufffd';
/** Half of a surrogate pair without the other: a string that has one cannot be UTF-8. */
const loneSurrogate = /\p{Surrogate}/u;

/** The same bytes as a Buffer, whose methods decode text and numbers. No copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The text in bytes `start` to `end`; `undefined` where they are not UTF-8. */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString('utf8', start, end);
  return text.includes(replacement) && !isUtf8(bytes.subarray(start, end)) ? undefined : text;
}

/** Whether a string can be written as UTF-8 without change. */
export function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text);
}
