/**
 * Finds the messages that came whole in what a socket gave, which is nearly all of them: one pass over the line before
 * each, and a jump over the rest. The library's parser goes through every state for every byte, and then through the line
 * again; that was the largest part of what a request costs its client and its runner. Whatever is not plainly a whole
 * message is left to it. Pure.
 */

/** The line before a message, as the library keeps it. */
export interface MessageLine {
  readonly subject: Uint8Array;
  readonly reply: Uint8Array | undefined;
  /** Of the subscription. */
  readonly sid: number;
  /** Bytes of the headers; -1 where there are none. */
  readonly hdr: number;
  /** Bytes of headers and payload. */
  readonly size: number;
}

interface FoundLine extends MessageLine {
  /** Where headers and payload begin. */
  readonly dataAt: number;
}

const cr = 13;
const lf = 10;
const space = 32;
const digit0 = 48;
const letterG = 71;
const letterH = 72;
const letterM = 77;
const letterS = 83;
/** What is longer is no number of a message, and would not fit into a small integer. */
const maxDigits = 9;
/** `HMSG <subject> <sid> <reply> <bytes of headers> <bytes>` */
const maxWords = 5;

/** Where the words of the line that is being read begin and end: it is read to its end before another begins. */
const begins = new Int32Array(maxWords);
const ends = new Int32Array(maxWords);

/**
 * Calls `take` for each whole message from `from` on, in order, with headers and payload as a view of `bytes`. Returns
 * where something else begins: a message in part, another word of the server, the end.
 */
export function scanMessages(
  bytes: Uint8Array,
  from: number,
  take: (line: MessageLine, data: Uint8Array) => void,
): number {
  let at = from;
  while (at < bytes.length) {
    const line = readLine(bytes, at);
    if (line === undefined) break;
    const end = line.dataAt + line.size;
    if (!isLineEnd(bytes, end)) break;
    at = end + 2;
    take(line, bytes.subarray(line.dataAt, end));
  }
  return at;
}

function readLine(bytes: Uint8Array, at: number): FoundLine | undefined {
  const headed = bytes[at] === letterH;
  const verbAt = headed ? at + 1 : at;
  if (verbAt + 4 > bytes.length) return undefined;
  if (bytes[verbAt] !== letterM || bytes[verbAt + 1] !== letterS || bytes[verbAt + 2] !== letterG)
    return undefined;
  if (bytes[verbAt + 3] !== space) return undefined;
  let words = 0;
  let begin = verbAt + 4;
  let end = begin;
  for (; end < bytes.length; end += 1) {
    const byte = bytes[end] as number;
    if (byte > space) continue;
    // Two spaces where a reply would be: so JetStream's own messages come.
    if (end > begin) {
      if (words === maxWords) return undefined;
      begins[words] = begin;
      ends[words] = end;
      words += 1;
    }
    if (byte !== space) break;
    begin = end + 1;
  }
  if (!isLineEnd(bytes, end)) return undefined;
  const extra = words - (headed ? 4 : 3);
  if (extra !== 0 && extra !== 1) return undefined;
  const sid = readNumber(bytes, 1);
  const hdr = headed ? readNumber(bytes, words - 2) : -1;
  const size = readNumber(bytes, words - 1);
  if (sid === undefined || hdr === undefined || size === undefined || hdr > size) return undefined;
  const subject = bytes.subarray(begins[0], ends[0]);
  const reply = extra === 1 ? bytes.subarray(begins[2], ends[2]) : undefined;
  return { subject, reply, sid, hdr, size, dataAt: end + 2 };
}

function isLineEnd(bytes: Uint8Array, at: number): boolean {
  return at + 1 < bytes.length && bytes[at] === cr && bytes[at + 1] === lf;
}

function readNumber(bytes: Uint8Array, index: number): number | undefined {
  const from = begins[index] as number;
  const to = ends[index] as number;
  if (to - from > maxDigits) return undefined;
  let number = 0;
  for (let at = from; at < to; at += 1) {
    const digit = (bytes[at] as number) - digit0;
    if (digit < 0 || digit > 9) return undefined;
    number = number * 10 + digit;
  }
  return number;
}
