/** Headers of work messages and answers: built and read in one place, since parsing them costs on every request. */
import { headers, type Msg, type MsgHdrs } from 'nats';
import { decodeError, encodeError, TroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import type { WireMessage } from '../protocol/infer-message.js';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Value of a header, `undefined` where it is not there. */
export function readHeader(hdrs: MsgHdrs | undefined, name: string): string | undefined {
  const value = hdrs?.get(name);
  return value === undefined || value === '' ? undefined : value;
}

/** A header that must be a whole number of 0 or more, `NaN` where it is there and is none. */
export function readCount(hdrs: MsgHdrs | undefined, name: string): number | undefined {
  const text = readHeader(hdrs, name);
  if (text === undefined) return undefined;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/** Bytes and headers of an answer, from a response or an error. */
export function encodeAnswer(answer: WireMessage | TroupeError): {
  payload: Uint8Array;
  headers: MsgHdrs | undefined;
} {
  if (answer instanceof TroupeError) {
    const hdrs = headers();
    // A header is one line; the full text stands in the body.
    hdrs.set(Header.ServiceError, answer.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 512));
    hdrs.set(Header.ServiceErrorCode, String(answer.status));
    return { payload: textEncoder.encode(JSON.stringify(encodeError(answer))), headers: hdrs };
  }
  if (answer.jsonLength === undefined) return { payload: answer.payload, headers: undefined };
  const hdrs = headers();
  hdrs.set(Header.InferenceLength, String(answer.jsonLength));
  return { payload: answer.payload, headers: hdrs };
}

/** An answer as it came: a message, or the error that it carries. */
export function decodeAnswer(msg: Msg): WireMessage | TroupeError {
  const hdrs = msg.headers;
  if (hdrs === undefined) return { payload: msg.data, jsonLength: undefined };
  if (readHeader(hdrs, Header.ServiceErrorCode) !== undefined) {
    try {
      return decodeError(JSON.parse(textDecoder.decode(msg.data)));
    } catch {
      // Not our JSON: a service that is not Troupe's answered. Its header is all that there is to tell.
      return decodeError({ error: readHeader(hdrs, Header.ServiceError) });
    }
  }
  const jsonLength = readCount(hdrs, Header.InferenceLength);
  if (Number.isNaN(jsonLength)) {
    return new TroupeError(
      'answer.malformed',
      `the answer's ${Header.InferenceLength} header is not a number`,
    );
  }
  return { payload: msg.data, jsonLength };
}
