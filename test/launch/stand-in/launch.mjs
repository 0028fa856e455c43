/** `npm start` of a stand-in clone: the true launcher and servers, stand-ins for Troupe's processes and for the proof. */
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { launch } from '../../../deploy/local/launch.mjs';
import { ensureServers } from '../../../deploy/local/setup.mjs';

const root = process.cwd();
const standIn = fileURLToPath(new URL('./process.mjs', import.meta.url));

/**
 * @param {string} name
 * @param {1 | 2} stage
 */
const plan = (name, stage) => ({
  name,
  command: process.execPath,
  args: [standIn, name, join(root, 'notes')],
  stage,
  graceMs: 10_000,
  readyMs: 20_000,
});

const code = await launch({
  root,
  argv: process.argv.slice(2),
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  processes: () => [plan('coordinator', 2), plan('host', 1)],
  setUp: (_root, context) => ensureServers(context.needs, context),
  proof: async () => ({
    model: 'iris',
    requests: 150,
    answered: 150,
    accuracy: 0.98,
    heldOutAccuracy: 0.96,
    heldOutCount: 50,
    p50Ms: 1.23456,
    p99Ms: 9.87654,
    inFlight: 64,
    batches: 20,
    rows: 150,
  }),
});
process.exit(code);
