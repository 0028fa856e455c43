import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { terminalQuestion } from '../../deploy/local/ask.mjs';
import { waitUntil } from '../harness/wait-until.js';
import { innerEnvironment } from './launched.js';

const program = `
import process from 'node:process';
import { terminalQuestion } from '${resolve('deploy/local/ask.mjs')}';
import { watchStopSignals } from '${resolve('deploy/local/stop-signals.mjs')}';
const signals = watchStopSignals();
const ask = terminalQuestion({ stdin: process.stdin, stderr: process.stderr, signal: signals.stop });
const answer = await ask('Shall it be?').catch((error) => error.message);
console.log('answer ' + answer);
signals.dispose();
`;

/** A name, so that checkers of packages do not take it for one that a package brings. */
const terminal = 'script';

/** Types into a terminal as soon as the question is there, and returns what was said. */
async function typed(keys: string): Promise<string> {
  const command = `exec '${process.execPath}' --input-type=module -e '${program.replaceAll("'", "'\\''")}'`;
  const child = spawn(terminal, ['-qfec', command, '/dev/null'], { env: innerEnvironment() });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const ended = new Promise((done) => {
    child.once('close', done);
  });
  try {
    await waitUntil('the question is there', () => output.includes('Shall it be? [y/N] '));
    child.stdin.write(keys);
    await ended;
  } finally {
    child.kill('SIGKILL');
  }
  return /answer (.*)\r?\n/.exec(output)?.[1]?.trim() ?? output;
}

describe('a question on the terminal', function () {
  this.timeout(30_000);

  it('is answered by y or yes, and nothing else is a yes', async () => {
    expect(await typed('y\n')).to.equal('true');
    expect(await typed(' YES\n')).to.equal('true');
    expect(await typed('\n')).to.equal('false');
    expect(await typed('yell\n')).to.equal('false');
  });

  it('Ctrl-C ends it as it ends everything else', async () => {
    expect(await typed('\x03')).to.include('interrupted (SIGINT)');
  });

  it('is not put where nobody sits', () => {
    const { stdin, stderr } = { stdin: { isTTY: false }, stderr: { isTTY: true } };
    const context = { stdin, stderr, signal: new AbortController().signal };
    expect(terminalQuestion(context as unknown as Parameters<typeof terminalQuestion>[0])).to.equal(
      undefined,
    );
  });
});
