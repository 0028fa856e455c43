/** Runs a model in ONNX Runtime inside the test's own process; models that may hang or abort go to `runApart`. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InferenceSession } from 'onnxruntime-node';
import * as ort from 'onnxruntime-node';

// Telemetry is on by default and is decided at the first session.
process.env.ORT_DISABLE_TELEMETRY = '1';

const sessionOptions: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 4,
};

type Feeds = Readonly<Record<string, ort.Tensor>>;

/** A FLOAT tensor. */
export function floats(values: readonly number[], dims: readonly number[]): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(values), dims);
}

/** An INT64 tensor. */
export function int64s(values: readonly bigint[], dims: readonly number[]): ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values), dims);
}

/** Loads a model, hands its session to `use`, and releases it whatever happens. */
export async function withSession<T>(
  model: Uint8Array,
  use: (session: InferenceSession) => Promise<T>,
): Promise<T> {
  const session = await ort.InferenceSession.create(model, sessionOptions);
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}

/** Runs a model once. */
export function runModel(model: Uint8Array, feeds: Feeds): Promise<InferenceSession.ReturnType> {
  return withSession(model, (session) => session.run(feeds));
}

interface ApartOutcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether the model had loaded and its run begun. */
  readonly runBegan: boolean;
  readonly stderr: string;
}

/** Runs a model once on FLOAT feeds in a process of its own, and tells how that process ended within `limitMs`. */
export async function runApart(
  model: Uint8Array,
  feeds: Readonly<Record<string, { readonly values: readonly number[]; readonly dims: readonly number[] }>>,
  limitMs = 20_000,
): Promise<ApartOutcome> {
  const folder = await mkdtemp(path.join(tmpdir(), 'troupe-model-'));
  try {
    const file = path.join(folder, 'model.onnx');
    await writeFile(file, model);
    const script = fileURLToPath(new URL('./run-apart.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, file, JSON.stringify(feeds)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    let runBegan = false;
    let stderr = '';
    child.stdout.once('data', () => {
      runBegan = true;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-4000);
    });
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal, runBegan, stderr }));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
