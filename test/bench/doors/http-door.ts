/**
 * Asks a web server: one connection for each request in flight, kept open, requests written whole and answers read by
 * `Content-Length`. Leaner than any HTTP client that a service would use, so that the servers' figures are the servers'.
 */
import { connect, type Socket } from 'node:net';
import type { Address, OpenDoor } from '../load-generator.js';

const headEnd = Buffer.from('\r\n\r\n');

/** One connection, at most one request at a time on it. */
class Connection {
  readonly #socket: Socket;
  #pending: { resolve(values: Float32Array): void; reject(error: Error): void } | undefined;
  #received: Buffer = Buffer.alloc(0);
  /** Bytes of the whole answer once its head is there. */
  #wanted: { bodyAt: number; total: number } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('close', () => this.#fail(new Error('the server has closed the connection')));
    socket.on('error', (error) => this.#fail(error));
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  send(request: Buffer): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#socket.write(request);
    });
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (this.#wanted === undefined) {
      const end = this.#received.indexOf(headEnd);
      if (end < 0) return;
      const head = this.#received.toString('latin1', 0, end);
      const length = /\r\ncontent-length: (\d+)/i.exec(head);
      if (!head.startsWith('HTTP/1.1 200') || length === null) {
        this.#fail(new Error(`the server answered ${this.#received.toString('latin1', 0, 500)}`));
        return;
      }
      this.#wanted = { bodyAt: end + 4, total: end + 4 + Number(length[1]) };
    }
    const { bodyAt, total } = this.#wanted;
    if (this.#received.length < total) return;
    const body = new Uint8Array(total - bodyAt);
    body.set(this.#received.subarray(bodyAt, total));
    this.#received = this.#received.subarray(total);
    this.#wanted = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(new Float32Array(body.buffer));
  }

  #fail(error: Error): void {
    this.#pending?.reject(error);
    this.#pending = undefined;
  }
}

export const openHttpDoor: OpenDoor<Extract<Address, { kind: 'http' }>> = async (
  { port },
  _model,
  servedAs,
  inputs,
  inFlight,
) => {
  const connections = await Promise.all(Array.from({ length: inFlight }, () => Connection.open(port)));
  const requests = inputs.map(({ buffer, byteLength }) =>
    Buffer.concat([
      Buffer.from(
        `POST /${servedAs} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: ${byteLength}\r\n\r\n`,
      ),
      Buffer.from(buffer as ArrayBuffer),
    ]),
  );
  return {
    ask: (row, slot) => (connections[slot] as Connection).send(requests[row] as Buffer),
    valuesOf: (values: Float32Array) => values,
  };
};
