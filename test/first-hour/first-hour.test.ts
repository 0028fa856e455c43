/**
 * The first hour of somebody who finds Troupe: what he types, in terminals of 80 columns, and what he must see. The
 * commands are those of the README and those that the programs print. One step builds on another.
 *
 * The whole of it is written to .troupe/first-hour.txt, or where TROUPE_TRANSCRIPT says, to be read by a person.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mlp } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { codeBlocks } from '../docs/code-blocks.js';
import { freePort } from '../harness/ports.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { waitUntil } from '../harness/wait-until.js';
import { innerEnvironment } from '../launch/launched.js';
import { type Clone, createClone } from './clone.js';
import { type Shown, Terminal } from './terminal.js';
import { createTranscript } from './transcript.js';

/** A newcomer's: nothing that this machine, or the test run around us, has set for npm and colours. */
const noSettings = { NPM_CONFIG_USERCONFIG: '/dev/null', NO_COLOR: undefined, FORCE_COLOR: undefined };

const flower = "--input '[[5.1,3.5,1.4,0.2]]'";

describe('the first hour', function () {
  this.timeout(180_000);
  const transcript = createTranscript();
  const terminals: Terminal[] = [];
  let clone: Clone;
  let brokenOff = false;
  /** Where the cluster runs, where one asks it, and the two processes of another one. */
  let first: Terminal;
  let second: Terminal;
  let third: Terminal;
  let fourth: Terminal;
  let report: string;
  let hostName: string;

  before(() => {
    clone = createClone();
    const net = (seed: number) => mlp({ layers: [4, 8, 2], seed, softmax: true, outputName: 'risk' });
    writeFileSync(join(clone.ownFolder, 'fraud.onnx'), net(1));
    writeFileSync(join(clone.ownFolder, 'fraud.v2.onnx'), net(2));
  });
  beforeEach(function () {
    if (brokenOff) this.skip();
    transcript.head(this.currentTest?.title ?? '');
  });
  afterEach(function () {
    brokenOff ||= this.currentTest?.state === 'failed';
  });
  after(async () => {
    transcript.write(process.env.TROUPE_TRANSCRIPT ?? join(repositoryRoot, '.troupe/first-hour.txt'));
    for (const terminal of terminals) await terminal.close();
    await clone?.remove(); // not there where it could not be made
  });

  async function openTerminal(): Promise<Terminal> {
    const number = terminals.length + 1;
    const terminal = await Terminal.open({
      cwd: clone.root,
      env: innerEnvironment({ ...noSettings }),
      onShown: (shown) => transcript.add(number, shown),
    });
    terminals.push(terminal);
    return terminal;
  }

  async function succeed(terminal: Terminal, command: string): Promise<Shown> {
    const shown = await terminal.run(command);
    expect(shown.exitCode, `${command}\n${shown.text}`).to.equal(0);
    return shown;
  }

  /** Types a command again until it shows what a command before it has set going. It must succeed each time. */
  async function succeedUntil(
    terminal: Terminal,
    command: string,
    wanted: RegExp | ((text: string) => boolean),
  ): Promise<Shown> {
    const isThere = (text: string) => (typeof wanted === 'function' ? wanted(text) : wanted.test(text));
    const shown = await waitUntil(
      `'${command}' shows ${wanted instanceof RegExp ? wanted : 'what it should'}`,
      async () => {
        const tried = await terminal.run(command);
        return tried.exitCode !== 0 || isThere(tried.text) ? tried : expect.fail(tried.text);
      },
      { everyMs: 250, timeoutMs: 60_000 },
    );
    expect(shown.exitCode, `${command}\n${shown.text}`).to.equal(0);
    return shown;
  }

  /** Fails with an exit code; its text with single blanks, since a terminal breaks lines where it must. */
  async function refused(command: string, exitCode: number): Promise<string> {
    const shown = await second.run(command);
    expect(shown.exitCode, `${command}\n${shown.text}`).to.equal(exitCode);
    return shown.text.replace(/\s+/g, ' ');
  }

  /** The line of the output that is a command to copy. */
  function commandOf(text: string, wanted: string): string {
    const found = text.split('\n').find((line) => line.startsWith('  ') && line.includes(wanted));
    return found?.trim() ?? expect.fail(`no command with '${wanted}' in:\n${text}`);
  }

  it('npm start brings up a cluster and prints how to ask it', async () => {
    first = await openTerminal();
    report = await first.start('npm start', 'Ctrl-C ends it.');
    expect(report).to.include('Troupe is up.').and.to.include('150 of 150 iris flowers');
    hostName = /^ +host +(\S+) with/m.exec(report)?.[1] ?? expect.fail(report);
  });

  it('each line that it prints works in a second terminal', async () => {
    second = await openTerminal();
    const hasNats = !report.includes('`nats` command line, which is not installed');
    const doors = report
      .split('\n')
      .filter((line) => line.startsWith('    ') && (hasNats || !line.trimStart().startsWith('nats ')));
    expect(doors.length).to.equal(3);
    for (const door of doors)
      expect((await succeed(second, door.trim())).text).to.match(/probabilities[\s\S]*0\.9/);
  });

  it('an own model is pushed, and serves', async () => {
    const pushed = await succeed(second, 'npx troupe models push ../my-models/fraud.onnx');
    expect(pushed.text).to.include('fraud version 1 is registered').and.to.include('stable');
    // A push waits for one worker; the second one comes when it comes.
    const listed = await succeedUntil(second, 'npx troupe models list', /^fraud +1 +stable +ready +2 of 2/m);
    expect(listed.text).to.match(/^MODEL +VERSION +LABELS +STATE/m);
  });

  it('its signature is shown, with a request to copy', async () => {
    const shown = await succeed(second, 'npx troupe models show fraud');
    expect(shown.text)
      .to.match(/input +input +FP32 +\[-1,4\]/)
      .and.to.match(/output +risk +FP32 +\[-1,2\]/);
    const asked = await succeed(second, commandOf(shown.text, 'npx troupe infer fraud'));
    expect(asked.text)
      .to.match(/^fraud version 1, /m)
      .and.to.match(/^risk +FP32 +\[1,2\] +\[\[0\.\d+, 0\.\d+\]\]/m);
  });

  it('it is asked through the SDK, by the program of the README', async () => {
    const [program] = codeBlocks(readFileSync(join(repositoryRoot, 'README.md'), 'utf8')).filter(
      ({ language }) => language === 'js',
    );
    const own =
      program?.code.replace("'iris'", "'fraud'").replace('outputs.probabilities', 'outputs.risk') ?? '';
    expect(own).to.include('fraud').and.to.include('outputs.risk');
    writeFileSync(join(clone.root, 'ask.mjs'), own);
    expect((await succeed(second, 'node ask.mjs')).text).to.match(
      /^1 Float32Array\(2\) \[ 0\.\d+, 0\.\d+ \]/,
    );
  });

  it('a second version is registered under the name that was suggested, and put live by the printed command', async () => {
    const asked = await refused('npx troupe models push ../my-models/fraud.v2.onnx', 2);
    expect(asked).to.include('--name fraud-v2');
    const pushed = await succeed(second, 'npx troupe models push ../my-models/fraud.v2.onnx --name fraud');
    expect(pushed.text).to.include('fraud version 2 is registered').and.to.include('not served yet');
    expect((await succeed(second, `npx troupe infer fraud ${flower}`)).text).to.include('fraud version 1');
    await succeed(second, commandOf(pushed.text, 'npx troupe '));
    await succeedUntil(second, `npx troupe infer fraud ${flower}`, /fraud version 2/);
  });

  it('a wrong model name is answered with the right one', async () => {
    const text = await refused(`npx troupe infer fruad ${flower}`, 1);
    expect(text).to.include('did you mean "fraud"').and.to.include('[model.unknown]');
  });

  it('a wrong shape is answered with the field, what came and what is wanted', async () => {
    const text = await refused("npx troupe infer fraud --input '[[5.1,3.5,1.4]]'", 1);
    expect(text)
      .to.include('input')
      .and.to.include('[1,3]')
      .and.to.include('4')
      .and.to.include('[request.tensor_shape]');
    expect(await refused("npx troupe infer fraud --input '[[5.1,3.5,1.4,'", 2)).to.include('write JSON');
  });

  it('a wrong port is answered with what was tried, where it came from and what to do', async () => {
    const port = await freePort();
    const text = await refused(`npx troupe hosts --nats nats://127.0.0.1:${port}`, 3);
    expect(text).to.include(`127.0.0.1:${port}`).and.to.include('--nats').and.to.include('npm start');
  });

  it('a second namespace is a cluster of its own on the same servers', async () => {
    const address = (name: string) =>
      new RegExp(`^ +${name} +(\\S+)`, 'm').exec(report)?.[1] ?? expect.fail(report);
    const variables = `export NATS_URL=${address('NATS')} REDIS_URL=${address('Redis')} TROUPE_NAMESPACE=staging`;
    expect(await refused('npx troupe hosts --namespace staging', 3)).to.include('staging');
    third = await openTerminal();
    fourth = await openTerminal();
    for (const terminal of [third, fourth]) await succeed(terminal, variables);
    await third.start('npx troupe-coordinator', 'elected leader');
    await fourth.start(
      'npx troupe-worker --devices cpu:0 --name staging-1 --data ./staging-data',
      /registered|ready/,
    );
    const hosts = await succeedUntil(second, 'npx troupe hosts --namespace staging', /^staging-1 +up/m);
    expect(hosts.text).not.to.include(hostName);
    expect((await succeed(second, 'npx troupe models list --namespace staging')).text).to.include(
      'no models',
    );
    await succeed(second, 'npx troupe models push ../my-models/fraud.onnx --namespace staging');
    const asked = `npx troupe infer fraud ${flower}`;
    expect((await succeed(second, `${asked} --namespace staging`)).text).to.include('fraud version 1');
    expect((await succeed(second, asked)).text).to.include('fraud version 2');
  });

  it('a host is scaled down and up', async () => {
    const serving = (count: number) => (text: string) =>
      text.match(/^(fraud v2|iris v1) +\S+ cpu:\d +serving/gm)?.length === count;
    expect((await succeed(second, 'npx troupe hosts')).text).to.match(/^\S+ +up +\d of 16 /m);
    expect((await succeed(second, `npx troupe scale ${hostName} 1`)).text).to.include('is to have 1 slot');
    await succeedUntil(second, 'npx troupe workers', serving(1));
    await succeedUntil(second, 'npx troupe models list', /no free slot/);
    await succeed(second, `npx troupe scale ${hostName} 16`);
    await succeedUntil(second, 'npx troupe workers', serving(4));
    expect((await succeed(second, 'npx troupe hosts')).text).to.match(/^\S+ +up +\d of 16 /m);
  });

  it('the doctor finds nothing that is broken, and the events tell the story', async () => {
    expect((await succeed(second, 'npx troupe doctor')).text).to.match(
      /^0 faults, \d+ warnings?, \d+ in order$/m,
    );
    expect((await succeed(second, 'npx troupe events --count 100')).text).to.match(/host\.scaled/);
    expect((await succeed(second, 'npx troupe dead list')).text).to.include('no dead letters');
    const { models } = JSON.parse((await succeed(second, 'npx troupe models list --json')).text);
    expect(models.map(({ name }: { name: string }) => name)).to.have.members(['fraud', 'iris']);
  });

  it('Ctrl-C ends each process in its terminal, and nothing is left running', async () => {
    // Where npx has a shell between itself and the command, that one takes Ctrl-C for its own end.
    for (const terminal of [fourth, third])
      expect((await terminal.interrupt()).exitCode).to.be.oneOf([0, 130]);
    const ended = await first.interrupt();
    expect(ended.text).to.include('Ending (SIGINT)');
    expect(ended.exitCode).to.equal(0);
    expect(await refused('npx troupe hosts', 3)).to.include('npm start');
    for (const terminal of terminals) await terminal.close();
    await waitUntil('nothing is left running', () => clone.atWork().length === 0);
  });

  it('every line of it fits into 80 columns, but for commands to copy and JSON', () => {
    expect(transcript.tooLong()).to.deep.equal([]);
  });
});
