/**
 * Runs one model once and exits 0: `node run-apart.mjs <model file> <feeds as JSON>`. Started by onnx-session.ts
 * for models that may take their process with them.
 */

import { InferenceSession, Tensor } from 'onnxruntime-node';

process.env.ORT_DISABLE_TELEMETRY = '1';

const [file, feedsJson] = process.argv.slice(2);
const feeds = Object.fromEntries(
  Object.entries(JSON.parse(feedsJson)).map(([name, { values, dims }]) => [
    name,
    new Tensor('float32', Float32Array.from(values), dims),
  ]),
);
const session = await InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 4 });
process.stdout.write('run begins');
await session.run(feeds);
await session.release();
