/** Supervision of one runner process, with real processes that misbehave on purpose. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, machineClockMs, type TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { tryGentleLoads } from '../../src/host/priority-trial.js';
import { type RunnerEnd, type RunnerProcess, startRunnerProcess } from '../../src/host/runner-process.js';
import { createRunnerRegister } from '../../src/host/runner-register.js';
import type { RunnerReport, RunnerSpec } from '../../src/ipc/runner-messages.js';
import { version } from '../machine/timed-worker.js';
import { threadPolicies } from '../processor-share.js';

const log = createLog('test', 'silent');
const entry = new URL('./stand-in-runner.ts', import.meta.url);

interface Run {
  readonly process: RunnerProcess;
  readonly reports: RunnerReport[];
  readonly naked: number[];
  readonly answered: { sequence: number; error: TroupeError }[];
}

describe('runner process', () => {
  let dir: string;
  const running: RunnerProcess[] = [];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-runner-'));
  });
  afterEach(async () => {
    for (const process of running.splice(0)) {
      process.kill();
      await process.ended;
    }
    rmSync(dir, { recursive: true, force: true });
  });

  function run(
    behaviour: string,
    options: {
      startMs?: number;
      silenceMs?: number;
      serverSinceMs?: () => number;
      ackWaitMs?: number;
      loadsGently?: RunnerSpec['loadsGently'];
    } = {},
  ): Run {
    const reports: RunnerReport[] = [];
    const naked: number[] = [];
    const answered: Run['answered'] = [];
    const process = startRunnerProcess({
      entry,
      spec: {
        namespace: 'troupe',
        natsUrl: 'nats://127.0.0.1:1',
        host: 'h',
        model: behaviour,
        version: version(1),
        device: 'cpu:0',
        modelPath: '/nowhere',
        intraOpThreads: 1,
        credits: 8,
        ackWaitMs: options.ackWaitMs ?? 60_000,
        queueLimit: 1,
        streamBytes: 1,
        logLevel: 'silent',
        ...(options.loadsGently === undefined ? {} : { loadsGently: options.loadsGently }),
      },
      startMs: options.startMs ?? 60_000,
      silenceMs: options.silenceMs ?? 60_000,
      runLimitMs: 500,
      handBack: {
        nak: (message) => naked.push(message.streamSequence),
        answer: (message, error) => answered.push({ sequence: message.streamSequence, error }),
        serverSinceMs: options.serverSinceMs ?? (() => 0),
      },
      register: createRunnerRegister(dir, log),
      log,
      onReport: (report) => reports.push(report),
    });
    running.push(process);
    return { process, reports, naked, answered };
  }

  async function serveToEnd(one: Run): Promise<RunnerEnd> {
    await waitUntil('it is warm', () => one.reports.some(({ kind }) => kind === 'warmed'));
    one.process.order({ kind: 'serve', credits: 8 });
    return one.process.ended;
  }

  /** What a dead runner held goes back a moment after its end. */
  async function handedBack(one: { readonly naked: readonly number[] }, sequences: number[]): Promise<void> {
    await waitUntil('all is handed back', () => one.naked.length >= sequences.length);
    expect(one.naked).to.deep.equal(sequences);
  }

  it('what a dead runner held is handed back, and nothing that it had released', async () => {
    const one = run('dies-holding');
    const end = await serveToEnd(one);
    await handedBack(one, [1, 3]);
    expect(end).to.include({ asked: false, drained: false, blameless: false });
    expect(end.handedBack.map(({ streamSequence }) => streamSequence)).to.deep.equal([1, 3]);
    expect(end.reason).to.match(/^ended by SIG/);
    expect(end).to.not.have.property('strike');
  });

  it('a delivery whose ack wait may have lapsed is not handed back: it may be somebody else’s by now', async () => {
    const one = run('silent', { silenceMs: 1_500, ackWaitMs: 1_000 });
    const end = await serveToEnd(one);
    expect(end.reason).to.equal('silent for more than 1500 ms');
    expect(one.naked).to.deep.equal([]);
  });

  it('sequences of a NATS server that was replaced meanwhile are not handed back', async () => {
    // Asked as it ends: the server is another one since just now.
    const one = run('silent', { silenceMs: 1_000, serverSinceMs: () => machineClockMs() });
    await serveToEnd(one);
    expect(one.naked).to.deep.equal([]);
  });

  it('a runner that says nothing is killed, with the cause told, and what it held is handed back', async () => {
    const one = run('silent', { silenceMs: 500 });
    const end = await serveToEnd(one);
    expect(end.reason).to.equal('silent for more than 500 ms');
    await handedBack(one, [1]);
  });

  it('a runner that never says a word is killed within the bound of its start, whatever it does', async () => {
    const mute = await run('mute', { startMs: 700 }).process.ended;
    expect(mute).to.deep.include({ asked: false, drained: false, blameless: false, handedBack: [] });
    expect(mute.reason).to.equal('it said nothing within 700 ms of its start');
    const stopped = run('good', { startMs: 700 });
    process.kill(stopped.process.pid as number, 'SIGSTOP');
    expect((await stopped.process.ended).reason).to.equal('it said nothing within 700 ms of its start');
  });

  it('a runner that loads gently starts at the lowest priority, and not for long where it gets nothing done', async function () {
    if ((await tryGentleLoads()) === 'session') this.skip();
    const before = getPriority();
    const { pid } = run('mute', {
      startMs: 12_000,
      loadsGently: { by: 'nice', thenPriority: before },
    }).process;
    expect(getPriority(pid)).to.equal(19);
    await waitUntil('it has its priority back', () => getPriority(pid) === before, { timeoutMs: 30_000 });
  });

  it('a runner that loads gently starts behind all others where the system has a policy for that, and not for long', async function () {
    if ((await tryGentleLoads()) !== 'idle_policy') this.skip();
    const { pid } = run('mute', { startMs: 12_000, loadsGently: { by: 'idle_policy' } }).process;
    const policies = () => new Set(threadPolicies(pid as number));
    await waitUntil('all its threads have the policy', () => [...policies()].join() === '5');
    await waitUntil('all its threads are as any other', () => [...policies()].join() === '0', {
      timeoutMs: 30_000,
    });
  });

  it('a runner is shown the collector that it gives memory back with at rest, however it starts', async function () {
    if (process.platform !== 'linux') this.skip();
    for (const started of [run('good'), run('good', { loadsGently: { by: 'session' } })]) {
      const command = readFileSync(`/proc/${started.process.pid}/cmdline`, 'utf8');
      expect(command.split('\0')).to.include('--expose-gc');
    }
  });

  it('a runner that dies of a redelivered message alone is a strike against that message, not the version', async () => {
    const one = run('dies-alone');
    const end = await serveToEnd(one);
    expect(end.strike).to.include({ streamSequence: 7, delivery: 2 });
    expect(end.blameless).to.equal(true);
    await handedBack(one, [7]);
  });

  it('a message that had been answered when its runner died gets no strike', async () => {
    const one = run('dies-after-alone');
    const end = await serveToEnd(one);
    expect(end).to.not.have.property('strike');
    expect(end.blameless).to.equal(false);
    await handedBack(one, [8]);
  });

  it('a run alone past the run limit is answered with the limit’s name, and its neighbours are handed back', async () => {
    const one = run('endless-alone');
    const end = await serveToEnd(one);
    expect(end.reason).to.equal('a run passed the run limit of 500 ms');
    expect(end.blameless).to.equal(true);
    expect(one.answered.map(({ sequence, error }) => [sequence, error.reason])).to.deep.equal([
      [7, 'model.run_limit'],
    ]);
    expect(one.answered[0]?.error.message).to.contain('run limit of 500 ms');
    await handedBack(one, [8]);
  });

  it('a batch past the run limit is handed back whole: its messages run alone then', async () => {
    const one = run('endless-batch');
    const end = await serveToEnd(one);
    expect(end.blameless).to.equal(false);
    expect(one.answered).to.deep.equal([]);
    await handedBack(one, [7, 8]);
  });

  it('a drained runner leaves by itself, and one that stays is ended', async () => {
    for (const behaviour of ['leaves', 'stays']) {
      const one = run(behaviour);
      await waitUntil('it is warm', () => one.reports.some(({ kind }) => kind === 'warmed'));
      one.process.order({ kind: 'drain', boundMs: 100 });
      expect(await one.process.ended).to.include({ drained: true, asked: false });
    }
  });

  it('a refused load is told with its reason, and a crash at load as an end', async () => {
    const refused = run('refuses');
    await waitUntil('it has refused', () => refused.reports.some(({ kind }) => kind === 'load_failed'));
    const crashed = run('dies-loading');
    expect((await crashed.process.ended).reason).to.match(/^ended by SIG/);
  });

  it('a runner that cannot be started at all ends like any other', async () => {
    const one = startRunnerProcess({
      entry: new URL('./no-such-runner.js', import.meta.url),
      spec: { model: 'x', version: version(1) } as never,
      startMs: 60_000,
      silenceMs: 60_000,
      runLimitMs: 500,
      handBack: { nak: () => undefined, answer: () => undefined, serverSinceMs: () => undefined },
      register: createRunnerRegister(dir, log),
      log,
      onReport: () => undefined,
    });
    running.push(one);
    expect((await one.ended).reason).to.match(/exit code 1/);
  });

  it('a starting host ends the runners of its predecessor, and no other process', async () => {
    const one = run('good');
    await waitUntil('it is warm', () => one.reports.some(({ kind }) => kind === 'warmed'));
    expect(existsSync(join(dir, 'runners.json'))).to.equal(true);
    expect(createRunnerRegister(dir, log).endPredecessors()).to.equal(1);
    expect((await one.process.ended).reason).to.equal('ended by SIGKILL');
    expect(createRunnerRegister(dir, log).endPredecessors()).to.equal(0);
  });
});
