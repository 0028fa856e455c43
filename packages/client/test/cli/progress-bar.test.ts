/** What a person sees of uploads and loads: on a terminal of any width, in a log, and in a real pseudo-terminal. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { createProgressBar, type ProgressClock, renderProgress } from '../../src/cli/progress-bar.js';
import { startStandIn } from '../stand-in-cluster.js';

const megabyte = 1_000_000;
const erase = '\r\u001b[K';
const upload = { text: 'resnet50: uploading', doneBytes: 45 * megabyte, totalBytes: 100 * megabyte };

/** A clock that goes on when it is told to. */
class HandClock implements ProgressClock {
  #nowMs = 0;
  readonly #calls = new Set<() => void>();

  now(): number {
    return this.#nowMs;
  }

  every(_ms: number, call: () => void): () => void {
    this.#calls.add(call);
    return () => this.#calls.delete(call);
  }

  get running(): number {
    return this.#calls.size;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const call of this.#calls) call();
  }
}

/** A stream that keeps what was written, and shows it as a terminal of one line would. */
function record(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return {
    written,
    stream: { isTTY, columns, write: (text: string) => written.push(text) },
    shown: () => written.join('').split(erase).at(-1),
  };
}

describe('the line of a moment', () => {
  it('has a bar, the share and the bytes where there is room', () => {
    expect(renderProgress(upload, 0, 80)).to.equal(
      'resnet50: uploading [##########--------------]  45 %, 45.0 MB of 100 MB',
    );
    expect(renderProgress({ ...upload, doneBytes: 0 }, 0, 80)).to.contain('[------------------------]   0 %');
    expect(renderProgress({ ...upload, doneBytes: 200 * megabyte }, 0, 80)).to.contain('100 %');
    expect(renderProgress({ ...upload, doneBytes: 0, totalBytes: 0 }, 0, 80)).to.contain('100 %');
  });

  it('gives up the bytes, then the bar, then the end of the text, on a narrow terminal', () => {
    expect(renderProgress(upload, 0, 40)).to.equal('resnet50: uploading [####------]  45 %');
    expect(renderProgress(upload, 0, 30)).to.equal('resnet50: uploading  45 %');
    expect(renderProgress(upload, 0, 20)).to.equal('resnet50: up~  45 %');
  });

  it('says for how long it goes on, from one second on', () => {
    const step = { text: 'iris: version 2 is loading on h1 cpu:0' };
    expect(renderProgress(step, 999, 80)).to.equal(step.text);
    expect(renderProgress(step, 3_900, 80)).to.equal(`${step.text}, 3 s`);
    expect(renderProgress(step, 125_000, 80)).to.equal(`${step.text}, 2 min 5 s`);
    expect(renderProgress(step, 3_900, 24)).to.equal('iris: version 2 i~, 3 s');
  });

  it('never fills the last column of any terminal, and sends no control character on', () => {
    for (let columns = 1; columns <= 120; columns += 1) {
      for (const step of [upload, { text: 'a name of somebody\u001b[2J that is long '.repeat(3) }]) {
        const line = renderProgress(step, 5_000, columns);
        expect(line.length, `${columns} columns`).to.be.at.most(columns - 1);
        expect(line).not.to.include('\u001b');
      }
    }
  });
});

describe('the progress of a run', () => {
  it('lives on one line of a terminal, starts its time with each step, and leaves nothing behind', () => {
    const clock = new HandClock();
    const { stream, shown, written } = record(true);
    const bar = createProgressBar(stream, clock);
    bar.show({ text: 'one' });
    expect(written, 'what is over at once is never drawn').to.deep.equal([]);
    clock.advance(1_500);
    expect(shown()).to.equal('one, 1 s');
    bar.show({ text: 'two' });
    clock.advance(100);
    expect(shown()).to.equal('two');
    bar.end();
    bar.end();
    expect(shown()).to.equal('');
    expect(written.join('')).not.to.include('\n');
    expect(clock.running).to.equal(0);
  });

  it('is one plain line in a log, for what takes longer than two seconds', () => {
    const clock = new HandClock();
    const { stream, written } = record(false);
    const bar = createProgressBar(stream, clock);
    bar.show({ text: 'quick' });
    clock.advance(1_900);
    bar.show({ text: 'slow' });
    for (let tick = 0; tick < 100; tick += 1) {
      bar.show({ text: 'slow' });
      clock.advance(100);
    }
    bar.end();
    expect(written).to.deep.equal(['slow\n']);
  });
});

describe('troupe models push in a terminal of 40 columns', () => {
  const main = fileURLToPath(new URL('./main-process.ts', import.meta.url));

  it('shows what the cluster does, never wraps, and ends with the answer alone', async function () {
    if (process.platform !== 'linux') this.skip(); // another `script`
    const cluster = await startStandIn();
    const folder = mkdtempSync(join(tmpdir(), 'troupe-bar-'));
    try {
      await cluster.serveAdmin({
        'cluster.info': async () => ({}),
        'models.register': async () => {
          await waitUntil('the bar has said for how long', () => /, \d+ s/.test(shown()));
          return { model: 'tiny', version: 1, created: true };
        },
      });
      const file = join(folder, 'tiny.onnx');
      writeFileSync(file, 'bytes');
      const command = [process.execPath, ...process.execArgv, main, 'models', 'push', file]
        .map((word) => `'${word}'`)
        .join(' ');
      const { ended, shown } = inTerminal(`stty cols 40 rows 10; exec ${command}`, { NATS_URL: cluster.url });
      await ended;
      const output = shown();
      const pictures = output.replaceAll(erase, '\n').split(/\r?\n/);
      const drawn = pictures.filter((picture) => picture.startsWith('tiny: the cluster'));
      expect(drawn.some((picture) => /, \d+ s$/.test(picture))).to.equal(true);
      for (const picture of drawn) expect(picture.length, picture).to.be.at.most(39);
      const left = output
        .split(/\r?\n/)
        .map((line) => line.split(erase).at(-1) ?? '')
        .filter((line) => line !== '');
      expect(left[0]).to.equal('tiny version 1 is registered');
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await cluster.stop();
    }
  });

  /** Runs a shell command in a pseudo-terminal; `shown` is all that it has shown so far. */
  function inTerminal(command: string, variables: Readonly<Record<string, string>>) {
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...variables, SHELL: '/bin/sh', TERM: 'xterm' },
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    const ended = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => resolve());
    });
    return { ended, shown: () => output };
  }
});
