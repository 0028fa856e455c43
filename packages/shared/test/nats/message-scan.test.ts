/** What a socket gave, read by the scan with the library's parser behind it, is what the parser alone makes of it. */
import { expect } from 'chai';
import fc from 'fast-check';
import { Kind, Parser, type ParserEvent } from 'nats/lib/nats-base-client/parser.js';
import { createReader } from '../../src/nats/library-reading.js';
import { scanMessages } from '../../src/nats/message-scan.js';

/** What a parser has told, as text. */
function tell({ data, kind, msg }: ParserEvent): string {
  const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('latin1');
  const line =
    msg === undefined ? '' : `${text(msg.subject)} ${msg.sid} ${text(msg.reply)} ${msg.hdr} ${msg.size}`;
  return `${Kind[kind]} ${line} ${text(data)}`;
}

function byParser(pieces: readonly Uint8Array[]): string[] {
  const told: string[] = [];
  const parser = new Parser({ push: (event) => told.push(tell(event)) });
  for (const piece of pieces) parser.parse(piece);
  return told;
}

function byScan(pieces: readonly Uint8Array[]): { told: string[]; scanned: number } {
  const told: string[] = [];
  let scanned = 0;
  const read = createReader({
    parser: new Parser({ push: (event) => told.push(tell(event)) }),
    processMsg(line, data) {
      scanned += 1;
      told.push(tell({ kind: Kind.MSG, msg: { ...line }, data } as ParserEvent));
    },
  });
  for (const piece of pieces) read(piece);
  return { told, scanned };
}

const subject = fc.stringMatching(/^[a-zA-Z0-9_$.*-]{1,40}$/);
const message = fc
  .record({
    subject,
    reply: fc.option(subject),
    gap: fc.constantFrom(' ', '  '),
    sid: fc.integer({ min: 1, max: 99_999 }),
    headers: fc.option(fc.string({ maxLength: 40 })),
    // Any bytes, so that lines end within it, and what looks like a message lies there.
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom('', '\r\n', 'MSG a 1 1\r\nx\r\n').map((text) => Buffer.from(text)),
    ),
  })
  .map(({ gap, headers, payload, reply, sid, subject: to }) => {
    const head = headers === null ? undefined : Buffer.from(`NATS/1.0\r\nof: ${headers}\r\n\r\n`);
    const words = [head === undefined ? 'MSG' : 'HMSG', to, sid];
    if (reply !== null) words.push(reply);
    if (head !== undefined) words.push(head.length);
    words.push((head?.length ?? 0) + payload.length);
    return Buffer.concat([
      Buffer.from(`${words.join(gap)}\r\n`),
      head ?? Buffer.of(),
      payload,
      Buffer.from('\r\n'),
    ]);
  });
const other = fc
  .constantFrom(
    'PING\r\n',
    'PONG\r\n',
    '+OK\r\n',
    "-ERR 'Slow Consumer'\r\n",
    'INFO {"a":1}\r\n',
    'msg a  1\t1\r\nx\r\n',
  )
  .map((text) => Buffer.from(text));
const wire = fc.array(fc.oneof({ arbitrary: message, weight: 4 }, other), { minLength: 1, maxLength: 12 });

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % bytes.length).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe('a scan for whole messages', () => {
  it('tells what the parser tells, whatever comes and wherever it is cut', () => {
    let scanned = 0;
    fc.assert(
      fc.property(wire, fc.array(fc.nat(), { maxLength: 4 }), (parts, places) => {
        const pieces = cut(Buffer.concat(parts), places);
        const byBoth = byScan(pieces);
        scanned += byBoth.scanned;
        expect(byBoth.told).to.deep.equal(byParser(pieces));
      }),
      { numRuns: 2_000 },
    );
    expect(scanned, 'messages that the scan found').to.be.greaterThan(2_000);
  });

  it('takes every message but those that a cut goes through', () => {
    const messages = fc.array(message, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 4 }), (parts, places) => {
        const { scanned } = byScan(cut(Buffer.concat(parts), places));
        expect(scanned).to.be.at.least(parts.length - places.length);
      }),
    );
  });

  const whole = 'MSG a.b 7 5\r\nhello\r\n';
  for (const [what, rest] of [
    ['a message without its end', 'MSG a 1 5\r\nhello'],
    ['half an end', 'MSG a 1 5\r\nhello\r'],
    ['half a line', 'MSG a 1'],
    ['a line without its end', 'MSG a 1 5\r'],
    ['one letter', 'M'],
    ['two', 'HM'],
    ['a verb', 'HMSG'],
    ['another verb', 'PING\r\n'],
    ['small letters', 'msg a 1 1\r\nx\r\n'],
    ['a tab', 'MSG a\t1 1\r\nx\r\n'],
    ['a verb that goes on', 'MSGS a 1 1\r\nx\r\n'],
    ['a line that ends without CR', 'MSG a 1 1\nx\r\n'],
    ['a word too few', 'MSG a 1\r\nx\r\n'],
    ['a word too many', 'MSG a 1 b 1 1\r\nx\r\n'],
    ['many too many', 'HMSG a 1 b 1 1 1 1\r\nx\r\n'],
    ['headers without their size', 'HMSG a 1 12\r\nNATS/1.0\r\n\r\n\r\n'],
    ['headers larger than the whole', 'HMSG a 1 13 12\r\nNATS/1.0\r\n\r\n\r\n'],
    ['no number', 'MSG a 1 1x\r\nx\r\n'],
    ['a negative number', 'MSG a 1 -1\r\nx\r\n'],
    ['a number too long', 'MSG a 1 0000000001\r\nx\r\n'],
    ['a payload longer than it says', 'MSG a 1 1\r\nxy\r\n'],
  ] as const) {
    it(`leaves to the parser: ${what}`, () => {
      const taken: string[] = [];
      const at = scanMessages(Buffer.from(whole + rest), 0, ({ sid }, data) =>
        taken.push(`${sid} ${Buffer.from(data).toString()}`),
      );
      expect(taken).to.deep.equal(['7 hello']);
      expect(at).to.equal(whole.length);
    });
  }
});
