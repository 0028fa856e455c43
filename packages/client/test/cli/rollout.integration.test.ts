/** `troupe rollout` and `troupe rollback`: what they ask the cluster, and how they tell what it answers. */
import { type RolloutRecord, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { parseSteps } from '../../src/cli/commands/rollout-commands.js';
import { runCli } from '../../src/cli/run-cli.js';
import { type StandInCluster, startStandIn } from '../stand-in-cluster.js';

const at = '2026-11-21T05:00:00.000Z';
const record: RolloutRecord = {
  number: 3,
  from: 1,
  to: 2,
  settings: {
    strategy: 'canary',
    steps: [
      { percent: 5, holdMs: 60_000 },
      { percent: 100, holdMs: 0 },
    ],
    bakeMs: 300_000,
    maxUnavailable: 0,
    maxCrashes: 3,
    allowGap: false,
    allowSignatureChange: false,
  },
  phase: 'canary',
  stepIndex: 0,
  paused: false,
  startedAt: at,
  phaseAt: at,
  actor: 'admin',
  story: [{ at, text: 'version 2 is to take over from version 1' }],
};
const note = (text: string) => ({ at: '2026-11-21T05:00:01.000Z', text });
const worker = { host: 'host-1', version: 2, device: 'cpu:0', state: 'serving' };
const answer = (rollout: RolloutRecord | null, changed = true, stable = 1) => ({
  model: 'iris',
  stable,
  changed,
  rollout,
  workers: [worker],
});

describe('parsing canary steps', () => {
  it('takes percent and time, and 100 alone at the end', () => {
    expect(parseSteps('5@60s,25@2m, 50%@500ms,100')).to.deep.equal([
      { percent: 5, holdMs: 60_000 },
      { percent: 25, holdMs: 120_000 },
      { percent: 50, holdMs: 500 },
      { percent: 100, holdMs: 0 },
    ]);
  });

  for (const text of ['', '5', '5@', '0@1s', '101@1s', '5@60', 'a@1s', '5@60s;100']) {
    it(`refuses "${text}"`, () => {
      expect(() => parseSteps(text)).to.throw('is no step');
    });
  }
});

describe('the command line about rollouts', () => {
  let cluster: StandInCluster;
  let calls: [string, unknown][] = [];
  /** What the next looks find. */
  let looks: ReturnType<typeof answer>[] = [];

  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    let [out, err] = ['', ''];
    const code = await runCli([...args, '--nats', cluster.url], {
      stdout: {
        write: (text) => {
          out += text;
        },
      },
      stderr: {
        write: (text) => {
          err += text;
        },
      },
      signal: new AbortController().signal,
    });
    return { code, out, err };
  }

  before(async () => {
    cluster = await startStandIn();
    const noted = (name: string) => async (args: unknown) => {
      calls.push([name, args]);
      const next = looks.length > 1 ? looks.shift() : looks[0];
      if (next === undefined) throw new TroupeError('rollout.none', 'no rollout of iris is under way');
      return next;
    };
    const verbs = ['start', 'status', 'pause', 'resume', 'abort', 'rollback'].map(
      (verb) => `rollout.${verb}`,
    );
    await cluster.serveAdmin({
      'cluster.info': async () => ({}),
      ...Object.fromEntries(verbs.map((name) => [name, noted(name)])),
    });
  });
  after(() => cluster?.stop());
  beforeEach(() => {
    calls = [];
    looks = [answer(record)];
  });

  it('start hands all its options on, and leaves out what was not said', async () => {
    await run('rollout', 'start', 'iris', '2');
    const said = await run(
      ...['rollout', 'start', 'iris', '2', '--strategy', 'canary', '--steps', '5@60s,100', '--bake-ms', '0'],
      ...['--max-unavailable', '1', '--max-crashes', '0', '--allow-gap', '--allow-signature-change'],
    );
    expect(said.out)
      .to.include('version 2 is to take over')
      .and.to.include('npx troupe rollout status iris --nats');
    expect(calls).to.deep.equal([
      ['rollout.start', { model: 'iris', version: 2 }],
      [
        'rollout.start',
        {
          model: 'iris',
          version: 2,
          strategy: 'canary',
          steps: record.settings.steps,
          bakeMs: 0,
          maxUnavailable: 1,
          maxCrashes: 0,
          allowGap: true,
          allowSignatureChange: true,
        },
      ],
    ]);
  });

  it('start says so where the version is stable already', async () => {
    looks = [answer(null, false, 2)];
    expect((await run('rollout', 'start', 'iris', '2')).out).to.include('stable already');
  });

  it('with --wait it tells each step once, and exits 0 where the version is promoted', async () => {
    const story = [...record.story, note('all traffic goes to it')];
    const promoted = { ...record, phase: 'promoted' as const, story: [...story, note('it is promoted')] };
    looks = [
      answer(record),
      answer({ ...record, story }),
      answer({ ...record, story }),
      answer(promoted, true, 2),
    ];
    const { code, err, out } = await run('rollout', 'start', 'iris', '2', '--wait');
    expect(code).to.equal(0);
    expect(err.split('\n')).to.deep.equal([
      'version 2 is to take over from version 1',
      'all traffic goes to it',
      'it is promoted',
      '',
    ]);
    expect(out).to.include('version 2 is stable; rollout 3 to version 2 has ended well');
  });

  it('with --wait it exits 1 where the version is taken back, with cause and evidence', async () => {
    looks = [
      answer(record),
      answer({
        ...record,
        phase: 'rolled_back',
        cause: { kind: 'evidence', text: '20 of 60 requests failed' },
        evidence: {
          candidate: { requests: 60, errors: 20, p99Ms: 3.2, samples: 60 },
          stable: { requests: 1_000, errors: 0 },
          crashes: 1,
        },
        story: [...record.story, note('version 2 is taken back')],
      }),
    ];
    const { code, out } = await run('rollout', 'start', 'iris', '2', '--wait');
    expect(code).to.equal(1);
    expect(out).to.include('was taken back').and.to.include('cause: evidence, 20 of 60 requests failed');
    expect(out).to.include('version 2: 60 requests, 20 failed, p99 3.2 ms over 60; 1 runner died');
  });

  it('status tells where it stands, what happened and who serves; as JSON all of it', async () => {
    const { out } = await run('rollout', 'status', 'iris');
    expect(out).to.include(
      'iris: version 1 is stable; rollout 3 to version 2 has 5 % of the traffic, step 1 of 2',
    );
    expect(out).to.include('2026-11-21 05:00:00Z  version 2 is to take over from version 1');
    expect(out).to.match(/^ +2 +host-1 cpu:0 +serving/m);
    const json = JSON.parse((await run('rollout', 'status', 'iris', '--json')).out) as Record<
      string,
      unknown
    >;
    expect(json).to.deep.include({ model: 'iris', stable: 1, active: true, rollout: record });
    looks = [answer(null, false)];
    expect((await run('rollout', 'status', 'iris')).out).to.include('nothing was rolled out yet');
  });

  it('status says where requests wait, and that nobody stands by', async () => {
    const gap = { ...record, gap: true };
    looks = [answer({ ...gap, phase: 'staging' })];
    expect((await run('rollout', 'status', 'iris')).out).to.include('loads in its place, requests wait');
    looks = [answer({ ...gap, phase: 'baking' }, false, 2)];
    expect((await run('rollout', 'status', 'iris')).out).to.include('has all traffic, nobody stands by');
  });

  it('pause, resume, abort and rollback say what came of it, and a refusal exits 1 with its reason', async () => {
    expect((await run('rollout', 'pause', 'iris')).out).to.include('npx troupe rollout resume iris');
    expect((await run('rollout', 'resume', 'iris')).out).to.include('goes on');
    expect((await run('rollout', 'abort', 'iris')).out).to.include('version 2 is to take over');
    expect((await run('rollback', 'iris', '--to', '1')).code).to.equal(0);
    expect(calls).to.deep.equal([
      ['rollout.pause', { model: 'iris' }],
      ['rollout.resume', { model: 'iris' }],
      ['rollout.abort', { model: 'iris' }],
      ['rollout.rollback', { model: 'iris', to: 1 }],
    ]);
    looks = [];
    const refused = await run('rollout', 'abort', 'iris');
    expect(refused.code).to.equal(1);
    expect(refused.err).to.include('[rollout.none]');
  });

  it('a step that cannot be meant exits 2 and asks nobody', async () => {
    const { code, err } = await run('rollout', 'start', 'iris', '2', '--steps', '5');
    expect(code).to.equal(2);
    expect(err).to.include('5@60s');
    expect(calls).to.deep.equal([]);
  });
});
