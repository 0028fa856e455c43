/** Headers of work messages and answers: built and read in one place, since parsing them costs on every request. */
import type { Msg, MsgHdrs } from 'nats';
import { decodeError, encodeError, TroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import type { WireMessage } from '../protocol/infer-message.js';
import { headerText } from './library-reading.js';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Value of a header, `undefined` where it is not there. */
export function readHeader(hdrs: MsgHdrs | undefined, name: string): string | undefined {
  const value = hdrs?.get(name);
  return value === undefined || value === '' ? undefined : value;
}

/** A header that must be a whole number of 0 or more, `NaN` where it is there and is none. */
function parseCount(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/** The headers of ours that a message has. */
export class WireHeaders {
  reply: string | undefined;
  done: string | undefined;
  /** `NaN` where it is there and is not a whole number; so are the other numbers. */
  budgetMs: number | undefined;
  requestId: string | undefined;
  pinned: boolean | undefined;
  askedVersion: number | undefined;
  suspect: boolean | undefined;
  attempt: number | undefined;
  sticky: string | undefined;
  traceparent: string | undefined;
  jsonLength: number | undefined;
  serviceError: string | undefined;
  serviceErrorCode: string | undefined;

  /** Takes in a header. Of one that is there twice the first counts. */
  add(name: string, value: string): void {
    switch (name) {
      case Header.Reply:
        this.reply ??= value;
        break;
      case Header.Done:
        this.done ??= value;
        break;
      case Header.BudgetMs:
        this.budgetMs ??= parseCount(value);
        break;
      case Header.RequestId:
        this.requestId ??= value;
        break;
      case Header.InferenceLength:
        this.jsonLength ??= parseCount(value);
        break;
      case Header.Pinned:
        this.pinned ??= value === '1';
        break;
      case Header.AskedVersion:
        this.askedVersion ??= parseCount(value);
        break;
      case Header.Suspect:
        this.suspect ??= value === '1';
        break;
      case Header.Attempt:
        this.attempt ??= parseCount(value);
        break;
      case Header.Sticky:
        this.sticky ??= value;
        break;
      case Header.TraceParent:
        this.traceparent ??= value;
        break;
      case Header.ServiceError:
        this.serviceError ??= value;
        break;
      case Header.ServiceErrorCode:
        this.serviceErrorCode ??= value;
        break;
    }
  }
}

const none = Object.freeze(new WireHeaders());
const lineEnd = '\r\n';

/** Reads what is ours of a message's headers, in one pass. Empty ones count as absent. */
export function readWireHeaders(msg: Msg): Readonly<WireHeaders> {
  const text = headerText(msg);
  if (text === undefined) return none;
  const found = new WireHeaders();
  let start = text.indexOf(lineEnd);
  while (start >= 0) {
    start += lineEnd.length;
    const end = text.indexOf(lineEnd, start);
    if (end < 0) break;
    const colon = text.indexOf(':', start);
    if (colon > start && colon < end) {
      const value = text.slice(colon + 1, end).trim();
      if (value !== '') found.add(text.slice(start, colon), value);
    }
    start = end;
  }
  return found;
}

const blockStart = 'NATS/1.0\r\n';

/** One line of a header block. Throws `nats.failed` where the value would end its line. */
export function headerLine(name: string, value: string | number): string {
  if (typeof value === 'string' && /[\r\n]/.test(value)) {
    throw new TroupeError('nats.failed', `the value of header ${name} holds a line break`);
  }
  return `${name}: ${value}\r\n`;
}

/** A header block of lines made by `headerLine`; '' for none. */
export function headerBlock(lines: string): string {
  return lines === '' ? '' : `${blockStart}${lines}\r\n`;
}

/** Blocks of binary answers by the length of their JSON: there are few. */
const lengthBlocks = new Map<number, string>();

function lengthBlock(jsonLength: number): string {
  let block = lengthBlocks.get(jsonLength);
  if (block === undefined) {
    block = headerBlock(headerLine(Header.InferenceLength, jsonLength));
    if (lengthBlocks.size < 1_024) lengthBlocks.set(jsonLength, block);
  }
  return block;
}

/** Bytes and header block of an answer, from a response or an error. */
export function encodeAnswer(answer: WireMessage | TroupeError): { payload: Uint8Array; headers: string } {
  if (answer instanceof TroupeError) {
    // A header is one line; the full text stands in the body.
    const text = answer.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 512);
    return {
      payload: textEncoder.encode(JSON.stringify(encodeError(answer))),
      headers: headerBlock(
        headerLine(Header.ServiceError, text) + headerLine(Header.ServiceErrorCode, answer.status),
      ),
    };
  }
  const { payload, jsonLength } = answer;
  return { payload, headers: jsonLength === undefined ? '' : lengthBlock(jsonLength) };
}

/** An answer as it came: a message, or the error that it carries. */
export function decodeAnswer(msg: Msg): WireMessage | TroupeError {
  const { jsonLength, serviceError, serviceErrorCode } = readWireHeaders(msg);
  if (serviceErrorCode !== undefined) {
    try {
      return decodeError(JSON.parse(textDecoder.decode(msg.data)));
    } catch {
      // Not our JSON: a service that is not Troupe's answered. Its header is all that there is to tell.
      return decodeError({ error: serviceError });
    }
  }
  if (Number.isNaN(jsonLength)) {
    return new TroupeError(
      'answer.malformed',
      `the answer's ${Header.InferenceLength} header is not a number`,
    );
  }
  return { payload: msg.data, jsonLength };
}
