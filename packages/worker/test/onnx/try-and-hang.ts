/**
 * Tries the model file of its argument, whose runs never end, and prints the process id of the trial once that is
 * under way. For the test of what becomes of a trial whose caller dies.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { runTrial } from '../../src/onnx/trial.js';

function childPid(): number | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const status = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8');
      if (parent === process.pid && command.includes('trial-main')) return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  return undefined;
}

runTrial({
  modelPath: process.argv[2] ?? '',
  device: 'cpu:0',
  intraOpThreads: 1,
  trial: { digest: '', sizeBytes: 0, golden: [], batching: {}, limits: {} },
}).catch(() => undefined); // its caller dies before

// By now the trial has loaded the model and runs it for ever.
setTimeout(() => process.stdout.write(`${childPid() ?? 0}\n`), 3_000);
