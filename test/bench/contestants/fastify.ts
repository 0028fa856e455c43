import type { Contestant } from './contestant.js';
import { startWeb } from './web.js';

/** onnxruntime-node behind Fastify in one process: what a TypeScript team does today. */
export const fastify: Contestant = {
  name: 'fastify',
  why:
    'Binary body, read straight into the memory of the run; no log, no schema, no validation; kept-open connections, ' +
    'one for each request in flight, and a load generator that writes raw HTTP. session.run() blocks its thread ' +
    'whatever is awaited, so a pool of sessions or a queue in front of them would only add work.',
  start: (stage) => startWeb('./servers/fastify-server.ts', stage, () => 1),
};
