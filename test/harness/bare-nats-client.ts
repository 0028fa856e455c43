/**
 * A bare client of the NATS text protocol on a TCP socket, for tests of what a plain NATS client sees: no client
 * library and none of our own code lies between the test and the wire. Source: NATS client protocol, INFO to HMSG.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** A message as it came. */
export interface BareMessage {
  readonly subject: string;
  readonly reply: string | undefined;
  /** Status of the header block, `503` for 'no responders'; undefined where it has none. */
  readonly status: string | undefined;
  /** Headers as they were spelt; the last one where a name comes twice. */
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
}

export interface BareRequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 30,000. */
  readonly timeoutMs?: number;
}

export interface BareNatsClient {
  /** What the server said at connect: `max_payload`, `version` and more. */
  readonly info: Readonly<Record<string, unknown>>;
  /** Sends, and takes the first answer. Rejects at the deadline, or with the server's own `-ERR`. */
  request(subject: string, payload: string | Uint8Array, options?: BareRequestOptions): Promise<BareMessage>;
  publish(
    subject: string,
    payload: string | Uint8Array,
    options?: { readonly reply?: string; readonly headers?: Readonly<Record<string, string>> },
  ): void;
  /** Hears a subject; returns how to stop. */
  subscribe(subject: string, listener: (message: BareMessage) => void): () => void;
  /** Writes a line of the protocol as it is, and resolves with the server's `-ERR` to it. */
  refusalOf(line: string): Promise<string>;
  /** Resolves when the server has handled all that was sent before. */
  flush(): Promise<void>;
  close(): void;
}

const lineEnd = Buffer.from('\r\n');
const connectLimitMs = 5_000;

/** Splits what comes from the server into operations; payloads are copied once. */
class Operations {
  #chunks: Buffer[] = [];
  #size = 0;
  /** Bytes below which it is no use to look again. */
  #needed = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The next operation, `undefined` until all of it is there. */
  next(): { readonly words: readonly string[]; readonly line: string; readonly body: Buffer } | undefined {
    if (this.#size === 0 || this.#size < this.#needed) return undefined;
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    const end = all.indexOf(lineEnd);
    if (end < 0) {
      this.#needed = this.#size + 1;
      return undefined;
    }
    const line = all.toString('utf8', 0, end);
    const words = line.split(/\s+/);
    const verb = words[0]?.toUpperCase();
    const bodyBytes = verb === 'MSG' || verb === 'HMSG' ? Number(words.at(-1)) : undefined;
    const bodyStart = end + lineEnd.length;
    const stop = bodyBytes === undefined ? bodyStart : bodyStart + bodyBytes + lineEnd.length;
    if (all.length < stop) {
      this.#needed = stop;
      return undefined;
    }
    this.#needed = 0;
    const body = Buffer.from(all.subarray(bodyStart, bodyStart + (bodyBytes ?? 0)));
    this.#chunks = [all.subarray(stop)];
    this.#size = all.length - stop;
    return { words, line, body };
  }
}

function parseHeaders(block: string): Pick<BareMessage, 'status' | 'headers'> {
  const [first = '', ...lines] = block.split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 1).trim();
  }
  const status = /^NATS\/1\.0\s+(\d{3})/.exec(first)?.[1];
  return { status, headers };
}

/** Connects to `nats://host:port` and resolves once the server has answered a PING. */
export async function connectBare(url: string): Promise<BareNatsClient> {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  const operations = new Operations();
  const listeners = new Map<string, (message: BareMessage) => void>();
  const pongs: { resolve(): void; reject(error: Error): void }[] = [];
  const failures = new Set<(error: Error) => void>();
  let info: Record<string, unknown> = {};
  let fault: Error | undefined;
  let nextSid = 1;

  const fail = (error: Error) => {
    fault ??= error;
    for (const pong of pongs.splice(0)) pong.reject(fault);
    for (const failure of [...failures]) failure(fault);
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server has closed the connection')));

  const greeted = new Promise<void>((resolve, reject) => {
    failures.add(reject);
    socket.on('data', (chunk: Buffer) => {
      operations.push(chunk);
      for (let operation = operations.next(); operation !== undefined; operation = operations.next()) {
        const { words, line, body } = operation;
        switch (words[0]?.toUpperCase()) {
          case 'INFO':
            info = JSON.parse(line.slice('INFO '.length)) as Record<string, unknown>;
            failures.delete(reject);
            resolve();
            break;
          case 'PING':
            socket.write('PONG\r\n');
            break;
          case 'PONG':
            pongs.shift()?.resolve();
            break;
          case '-ERR':
            fail(new Error(line.slice('-ERR '.length).replaceAll("'", '')));
            break;
          case 'MSG':
            listeners.get(words[2] ?? '')?.({
              subject: words[1] ?? '',
              reply: words.length > 4 ? words[3] : undefined,
              status: undefined,
              headers: {},
              payload: body,
            });
            break;
          case 'HMSG': {
            const headerBytes = Number(words.at(-2));
            listeners.get(words[2] ?? '')?.({
              subject: words[1] ?? '',
              reply: words.length > 5 ? words[3] : undefined,
              ...parseHeaders(body.toString('utf8', 0, headerBytes)),
              payload: body.subarray(headerBytes),
            });
            break;
          }
          default: // +OK, and what a newer server may say
        }
      }
    });
  });

  const client: BareNatsClient = {
    get info() {
      return info;
    },
    publish(subject, payload, { reply, headers } = {}) {
      const body = Buffer.from(payload);
      const target = reply === undefined ? subject : `${subject} ${reply}`;
      if (headers === undefined) {
        socket.write(Buffer.concat([Buffer.from(`PUB ${target} ${body.length}\r\n`), body, lineEnd]));
        return;
      }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const block = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`);
      const head = Buffer.from(`HPUB ${target} ${block.length} ${block.length + body.length}\r\n`);
      socket.write(Buffer.concat([head, block, body, lineEnd]));
    },
    subscribe(subject, listener) {
      const sid = String(nextSid);
      nextSid += 1;
      listeners.set(sid, listener);
      socket.write(`SUB ${subject} ${sid}\r\n`);
      return () => {
        listeners.delete(sid);
        if (!socket.destroyed) socket.write(`UNSUB ${sid}\r\n`);
      };
    },
    request(subject, payload, options = {}) {
      const { timeoutMs = 30_000, headers } = options;
      const inbox = `_INBOX.${randomBytes(12).toString('hex')}`;
      return new Promise((resolve, reject) => {
        if (fault !== undefined) {
          reject(fault);
          return;
        }
        const end = () => {
          clearTimeout(timer);
          failures.delete(giveUp);
          unsubscribe();
        };
        const giveUp = (error: Error) => {
          end();
          reject(error);
        };
        const timer = setTimeout(
          () => giveUp(new Error(`no answer on ${subject.slice(0, 80)} within ${timeoutMs} ms`)),
          timeoutMs,
        );
        failures.add(giveUp);
        const unsubscribe = client.subscribe(inbox, (message) => {
          end();
          resolve(message);
        });
        client.publish(subject, payload, { reply: inbox, ...(headers === undefined ? {} : { headers }) });
      });
    },
    refusalOf(line) {
      return new Promise((resolve, reject) => {
        const end = () => {
          clearTimeout(timer);
          failures.delete(refused);
        };
        const refused = ({ message }: Error) => {
          end();
          resolve(message);
        };
        const timer = setTimeout(() => {
          end();
          reject(new Error(`the server has not refused '${line}' within ${connectLimitMs} ms`));
        }, connectLimitMs);
        failures.add(refused);
        socket.write(`${line}\r\n`);
      });
    },
    flush() {
      return new Promise((resolve, reject) => {
        if (fault !== undefined) {
          reject(fault);
          return;
        }
        pongs.push({ resolve, reject });
        socket.write('PING\r\n');
      });
    },
    close() {
      socket.destroy();
    },
  };

  const limit = setTimeout(
    () => fail(new Error(`no greeting from ${url} within ${connectLimitMs} ms`)),
    connectLimitMs,
  );
  try {
    await greeted;
    const options = {
      verbose: false,
      pedantic: false,
      headers: true,
      no_responders: true,
      lang: 'bare',
      version: '0',
      protocol: 1,
    };
    socket.write(`CONNECT ${JSON.stringify(options)}\r\n`);
    await client.flush();
    return client;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(limit);
  }
}
