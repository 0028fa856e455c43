/** `npm start` of a stand-in clone: the true launcher and servers, stand-ins for Troupe's processes and for the proof. */
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { ensureCudaProvider } from '../../../deploy/local/cuda-provider.mjs';
import { launch } from '../../../deploy/local/launch.mjs';
import { ensureServers } from '../../../deploy/local/setup.mjs';

const root = process.cwd();
const standIn = fileURLToPath(new URL('./process.mjs', import.meta.url));

/**
 * @param {string} name
 * @param {1 | 2} stage
 * @param {string[]} args
 */
const plan = (name, stage, ...args) => ({
  name,
  command: process.execPath,
  args: [standIn, name, join(root, 'notes'), ...args],
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
  processes: (_root, _env, devices) => [
    plan('coordinator', 2),
    plan('host', 1, ...(devices.startsWith('cpu') ? [] : [devices])),
  ],
  async setUp(clone, context) {
    if (context.gpu === true) await ensureCudaProvider(clone, context);
    return ensureServers(context.needs, context);
  },
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
