/**
 * Fastify as a team would put it before a model, with every ounce off: no log, no schema, the body read straight into the
 * memory that the run takes, the answer sent as a view on the run's output. Shared by the two Fastify contestants.
 */
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyRequest } from 'fastify';

/** Runs one row. */
export type RunRow = (row: Float32Array) => Promise<Float32Array>;

/** Serves `POST /<name>` for each model on a port of its own, which it resolves with. */
export async function serveRows(models: ReadonlyMap<string, RunRow>): Promise<number> {
  const app = Fastify({ logger: false, bodyLimit: 64 * 1024 * 1024 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/octet-stream', readBody);
  for (const [name, run] of models) {
    app.post(`/${name}`, async (request, reply) => {
      const output = await run(request.body as Float32Array);
      reply.header('content-type', 'application/octet-stream');
      return Buffer.from(output.buffer, output.byteOffset, output.byteLength);
    });
  }
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** One copy, from the socket's chunks to aligned floats; Fastify's own `parseAs: 'buffer'` copies once, too, but not aligned. */
function readBody(
  request: FastifyRequest,
  payload: NodeJS.ReadableStream,
  done: (error: Error | null, body?: unknown) => void,
): void {
  const bytes = new Uint8Array(Number(request.headers['content-length']));
  let offset = 0;
  payload.on('data', (chunk: Buffer) => {
    bytes.set(chunk, offset);
    offset += chunk.length;
  });
  payload.on('error', done);
  payload.on('end', () => done(null, new Float32Array(bytes.buffer)));
}
