/**
 * The proof, a process of its own: registers the bundled models and asks the cluster for all 150 iris flowers through
 * the client SDK, as any program would. Run by prove-client.mjs once all is built and up, with the cluster's addresses
 * in its environment. Tells its parent by messages (ProofMessage) what it does and what came out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@troupe/client';
import { computeFigures, labelOf, parseFlowers } from './figures.mjs';

/**
 * @typedef {import('./figures.mjs').Figures & { inFlight: number, batches: number, rows: number,
 *   firstFault?: string }} ProofResult
 * @typedef {{ kind: 'step', text: string } | { kind: 'result', result: ProofResult }
 *   | { kind: 'fault', text: string }} ProofMessage
 */

const model = 'iris';
/** In flight at once: enough for batches to form, as from a busy service. */
const inFlight = 64;
/** A first answer needs a registered model that is placed, loaded and routed. */
const firstAnswerMs = 120_000;
const reportMs = 5_000;

const [modelsFolder = ''] = process.argv.slice(2);

/** @param {ProofMessage} message */
const tell = (message) => process.send?.(message);

/** @typedef {Awaited<ReturnType<typeof connect>>} Troupe */

/**
 * Every folder with a model.json, its versions in order. The registry knows a content that it has and gives its version
 * back, so that a second start registers nothing twice.
 * @param {Troupe} troupe
 */
async function registerBundled(troupe) {
  const folders = readdirSync(modelsFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) {
    const versions = readdirSync(join(modelsFolder, name))
      .filter((entry) => /^v[1-9]\d*$/.test(entry))
      .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
    for (const version of versions) {
      const folder = join(modelsFolder, name, version);
      tell({ kind: 'step', text: `Registering ${name} ${version}` });
      const { cases } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
      await troupe.registerModel({ name, file: join(folder, 'model.onnx'), golden: cases });
    }
  }
}

/**
 * Waits until somebody answers. What may pass by itself is tried again, anything else is a fault.
 * @param {Troupe} troupe
 * @param {string} input
 */
async function awaitFirstAnswer(troupe, input) {
  const end = performance.now() + firstAnswerMs;
  for (;;) {
    try {
      await troupe.infer(model, { [input]: [[5.1, 3.5, 1.4, 0.2]] });
      return;
    } catch (error) {
      const { retryable, class: errorClass } = /** @type {{ retryable?: boolean, class?: string }} */ (error);
      const passing = retryable === true || errorClass === 'not_found' || errorClass === 'deadline_exceeded';
      if (!passing || performance.now() > end) throw error;
      await delay(100);
    }
  }
}

/**
 * Batches and rows that all workers of the model have run.
 * @param {Troupe} troupe
 */
async function countBatches(troupe) {
  const workers = (await troupe.hosts())
    .flatMap((host) => host.workers)
    .filter((worker) => worker.model === model);
  return {
    batches: workers.reduce((sum, worker) => sum + worker.batches, 0),
    rows: workers.reduce((sum, worker) => sum + worker.rows, 0),
  };
}

/**
 * All flowers, `inFlight` at a time.
 * @param {Troupe} troupe
 * @param {{ input: string, output: string, labels: string[] }} names
 */
async function classify(troupe, { input, output, labels }) {
  const flowers = parseFlowers(readFileSync(join(modelsFolder, model, 'iris.csv'), 'utf8'));
  /** @type {import('./figures.mjs').Answer[]} */
  const answers = [];
  /** @type {string | undefined} */
  let firstFault;
  let next = 0;
  const ask = async () => {
    for (let flower = flowers[next++]; flower !== undefined; flower = flowers[next++]) {
      const { row, label, features } = flower;
      const start = performance.now();
      let answer;
      try {
        const { outputs } = await troupe.infer(
          model,
          { [input]: new Float32Array(features) },
          { id: `iris-${row}` },
        );
        answer = labelOf(/** @type {ArrayLike<number>} */ (outputs[output]?.data ?? []), labels);
      } catch (error) {
        firstFault ??= String(error);
      }
      answers.push({ row, label, answer, ms: performance.now() - start });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
  return { answers, firstFault };
}

async function prove() {
  const names = JSON.parse(readFileSync(join(modelsFolder, model, 'model.json'), 'utf8'));
  const split = JSON.parse(readFileSync(join(modelsFolder, model, 'split.json'), 'utf8'));
  const troupe = await connect();
  try {
    await registerBundled(troupe);
    tell({ kind: 'step', text: `Waiting for the first answer of ${model}` });
    await awaitFirstAnswer(troupe, names.input);
    // The first answer's own batch is not yet in any report, or it is: one row of 300 either way.
    const before = await countBatches(troupe);
    tell({ kind: 'step', text: 'Asking for all 150 iris flowers' });
    // The first round meets code that has never run before, here and in the runners: it would measure the compiler.
    // Batches are counted over both: a report in between would cost a second of waiting.
    const first = await classify(troupe, names);
    const { answers, firstFault } = await classify(troupe, names);
    const figures = computeFigures(model, answers, split.held_out);
    const asked = first.answers.filter(({ answer }) => answer !== undefined).length + figures.answered;
    const after = await settledCount(troupe, before.rows + asked);
    /** @type {ProofResult} */
    const result = {
      ...figures,
      inFlight,
      batches: after.batches - before.batches,
      rows: after.rows - before.rows,
    };
    if (firstFault !== undefined) result.firstFault = firstFault;
    tell({ kind: 'result', result });
  } finally {
    await troupe.close();
  }
}

/**
 * The counts, once they reach `rows`: hosts report with their lease, so a count is up to a second old.
 * @param {Troupe} troupe
 * @param {number} rows
 */
async function settledCount(troupe, rows) {
  const end = performance.now() + reportMs;
  for (;;) {
    const count = await countBatches(troupe);
    if (count.rows >= rows || performance.now() > end) return count;
    await delay(100);
  }
}

try {
  await prove();
} catch (error) {
  tell({ kind: 'fault', text: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
process.disconnect?.();
