/** The benchmark in its shortened form: whether it measures the right thing and says so in the right form, never how fast. */
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { createProgress } from '../../deploy/local/progress.mjs';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import type { BenchModel } from './bench-model.js';
import { quantile, runClosedLoop } from './closed-loop.js';
import { fillRegion, pagePlace, writePage } from './docs-page.js';
import { LatencySample } from './latency-sample.js';
import { type Arguments, runSuite, runSuites, suiteNames, suites } from './main.js';
import { compare, lastTakes, type Row, type Sample } from './outcome.js';
import type { Report, UnfinishedReport } from './report.js';
import { runRounds } from './rounds.js';
import { parseProcessorTime, readProcessorTime, stolenShare } from './stolen-time.js';
import { quick } from './suites/quick.js';
import { type Suite, type SuiteContext, withStage } from './suites/suite.js';
import { drawChart } from './svg-chart.js';
import { addRun, type TargetRun, targetTable } from './target-runs.js';

/** Progress is for people; here only what fails is of interest. */
const context: SuiteContext = {
  progress: createProgress({ write: () => true }),
  signal: new AbortController().signal,
  short: true,
};

function sample(contestant: string, round: number, throughput: number, stolen = 0): Sample {
  return {
    model: 'tiny',
    contestant,
    inFlight: 64,
    round,
    answers: 1,
    checked: 1,
    elapsedMs: 1,
    throughput,
    stolen,
    p50: 1,
    p99: 1,
    max: 1,
    cpuMs: 1,
  };
}

const valuesOf = (values: Float32Array) => values;

const comparison = {
  suite: 'peers',
  model: 'tiny',
  contestant: 'ours',
  against: 'theirs',
  inFlight: 64,
  metric: 'throughput',
} as const;

describe('the benchmark', () => {
  it('fails on an answer that is not that of ONNX Runtime', async () => {
    const expected = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
    const order = { inFlight: 4, rampMs: 1, windowMs: 20 };
    const honest = { ask: async (row: number) => expected[row] as Float32Array, valuesOf };
    expect((await runClosedLoop(honest, expected, order)).checked).to.be.greaterThan(3);
    for (const wrong of [Float32Array.of(3, 4.1), Float32Array.of(3), Float32Array.of(3, Number.NaN)]) {
      const door = {
        ask: async (row: number) => (row === 1 ? wrong : (expected[0] as Float32Array)),
        valuesOf,
      };
      let message = '';
      await runClosedLoop(door, expected, order).catch((error: Error) => {
        message = error.message;
      });
      expect(message).to.match(/^row 1 was answered with 3/);
    }
  });

  it('counts only what was answered inside the window, whose ends are answers', async () => {
    const expected = [Float32Array.of(1)];
    // Four at a time, one behind the other, by a clock that stands still among the four of a batch.
    const { now } = performance;
    let nowMs = 0;
    let waiting: (() => void)[] = [];
    const door = {
      ask: () =>
        new Promise<Float32Array>((resolve) => {
          waiting.push(() => resolve(Float32Array.of(1)));
          if (waiting.length < 4) return;
          const batch = waiting;
          waiting = [];
          setImmediate(() => {
            nowMs += 3;
            for (const answer of batch) answer();
          });
        }),
      valuesOf,
    };
    performance.now = () => nowMs;
    try {
      const order = { inFlight: 4, rampMs: 10, windowMs: 50 };
      const { answers, checked, elapsedMs, throughput } = await runClosedLoop(door, expected, order);
      // From the first answer at 12 ms to the first at 63, without the one that opens: 17 batches, whole.
      expect({ answers, elapsedMs }).to.deep.equal({ answers: 68, elapsedMs: 51 });
      expect(checked).to.be.greaterThan(answers);
      expect(throughput).to.be.closeTo(68_000 / 51, 1e-6);
    } finally {
      performance.now = now;
    }
  });

  it('keeps every latency of a window, and of a very long one a fair part', () => {
    const few = new LatencySample(5_000);
    for (let ms = 5_000; ms > 0; ms -= 1) few.add(ms);
    expect([...few.sorted()]).to.deep.equal(Array.from({ length: 5_000 }, (_, at) => at + 1));
    const many = new LatencySample(5_000);
    for (let ms = 1; ms <= 1_000_000; ms += 1) many.add(ms);
    expect(many).to.include({ count: 1_000_000, max: 1_000_000 });
    const sorted = many.sorted();
    expect(sorted).to.have.length(5_000);
    // Ten times what chance leaves at most.
    expect(quantile(sorted, 0.5)).to.be.within(430_000, 570_000);
    expect(quantile(sorted, 0.99)).to.be.within(975_000, 1_000_000);
  });

  it('leaves out the rounds in which others had the machine, for both, unless most are such', () => {
    const rounds = (stolen: readonly (readonly [number, number])[]) =>
      stolen.flatMap(([ours, theirs], index) => [
        sample('ours', index + 1, 100 * (index + 1), ours),
        sample('theirs', index + 1, 100, theirs),
      ]);
    const [quiet, mine, theirs] = [
      [0.01, 0],
      [0.02, 0],
      [0, 0.02],
    ] as const;
    expect(compare(rounds([quiet, mine, quiet, theirs]), comparison)).to.include({
      ratio: 2,
      value: 200,
      againstValue: 100,
    });
    expect(compare(rounds([quiet, mine, quiet, theirs]), comparison)?.disturbed).to.deep.equal({
      rounds: 2,
      leftOut: 2,
    });
    const mostly = compare(rounds([mine, theirs, quiet]), comparison);
    expect(mostly).to.include({ ratio: 2 });
    expect(mostly?.disturbed).to.deep.equal({ rounds: 2, leftOut: 0 });
    expect(compare(rounds([quiet]), comparison)).to.not.have.property('disturbed');
  });

  it('takes a round again that others had, as often as it may', async () => {
    // Shares stolen of the windows, in turn: of the second round twice the first contestant's, once the second's.
    const shares = [0, 0, 0.2, 0, 0.2, 0.2, 0, 0.2, 0, 0.01];
    const runWith = async (retakes: number) => {
      let reading = 0;
      let time = { all: 0, stolen: 0 };
      const readTime = () => {
        const share = reading % 2 === 1 ? (shares[reading >> 1] ?? 0) : 0;
        reading += 1;
        time = { all: time.all + 1_000, stolen: time.stolen + 1_000 * share };
        return time;
      };
      const window = {
        answers: 1,
        checked: 1,
        elapsedMs: 1,
        throughput: 100,
        p50: 1,
        p99: 1,
        max: 1,
        cpuMs: 1,
      };
      const measure = async () => window;
      const turns = ['ours', 'theirs'].map((name) => ({ name, running: { measure } }));
      const model = { name: 'tiny' } as BenchModel;
      const plan = { rounds: 2, windowMs: 1, warmUpMs: 1, inFlight: 64, retakes };
      return runRounds(model, turns, plan, undefined, readTime);
    };
    const seen = (samples: readonly Sample[]) =>
      samples.map(({ contestant, round, take, stolen }) => `${contestant} ${round}.${take} ${stolen}`);
    const all = await runWith(5);
    expect(seen(lastTakes(all))).to.deep.equal([
      'ours 1.1 0',
      'theirs 1.1 0',
      'ours 2.4 0',
      'theirs 2.4 0.01',
    ]);
    expect(seen(all.filter((one) => one.takenAgain))).to.deep.equal([
      'ours 2.1 0.2',
      'theirs 2.1 0',
      'ours 2.2 0.2',
      'theirs 2.2 0.2',
      'ours 2.3 0',
      'theirs 2.3 0.2',
    ]);
    const once = await runWith(1);
    expect(seen(lastTakes(once))).to.deep.equal([
      'ours 1.1 0',
      'theirs 1.1 0',
      'ours 2.2 0.2',
      'theirs 2.2 0.2',
    ]);
    expect(once).to.have.length(6);
    const never = await runWith(0);
    expect(seen(never)).to.deep.equal(['ours 1.1 0', 'theirs 1.1 0', 'ours 2.1 0.2', 'theirs 2.1 0']);
    expect(lastTakes(never)).to.have.length(4);
  });

  it('writes what it has measured where a suite fails or is stopped', async () => {
    const folder = temporaryDirectory('bench-stopped');
    const json = join(folder, 'measured.json');
    const stop = new AbortController();
    const suite = (name: string, end: () => unknown): Suite => ({
      name,
      text: '',
      seconds: 0,
      async run({ measured }) {
        measured?.([sample(name, 1, 100)]);
        await end();
        throw new Error(`${name} has ended`);
      },
    });
    const written = () => JSON.parse(readFileSync(json, 'utf8')) as UnfinishedReport[];
    const said = ({ unfinished, samples }: UnfinishedReport) => [unfinished, samples[0]?.contestant];
    const first = [['one has ended', 'one']];
    const args: Arguments = {
      suites: [
        suite('one', () => undefined),
        suite('two', () => {
          expect(written().map(said)).to.deep.equal(first);
          stop.abort();
        }),
        suite('three', () => expect.fail('it goes on')),
      ],
      pageOnly: false,
      json,
      writeDocs: false,
      resume: false,
      rounds: undefined,
      windowMs: undefined,
      models: undefined,
    };
    const error = console.error;
    console.error = () => undefined;
    try {
      const ended = runSuites(args, { ...context, signal: stop.signal });
      expect(await ended.catch((reason: unknown) => reason)).to.have.property('message', 'two has ended');
      expect(written().map(said)).to.deep.equal([...first, ['two has ended', 'two']]);
    } finally {
      console.error = error;
      removeDirectory(folder);
    }
  });

  it('shows what the processes have printed where its work fails, before it ends them', async () => {
    const write = process.stderr.write;
    const seen: string[] = [];
    process.stderr.write = (text: string | Uint8Array) => {
      seen.push(String(text));
      return true;
    };
    const fail = async () => {
      throw new Error('no answer');
    };
    try {
      await withStage(context, [], async ({ own }) => {
        own({ logs: () => 'runner died\n', stop: async () => seen.push('stopped') });
        return fail();
      });
      expect.fail('it hides the failure');
    } catch (error) {
      expect(error).to.have.property('message', 'no answer');
    } finally {
      process.stderr.write = write;
    }
    expect(seen).to.deep.equal(['runner died\n', 'stopped']);
  });

  it('reads what was stolen from the sum of all cores', () => {
    const stat = (idle: number, stolen: number) =>
      `cpu  10 1 5 ${idle} 2 3 4 ${stolen} 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n`;
    const from = parseProcessorTime(stat(100, 20));
    expect(from).to.deep.equal({ all: 145, stolen: 20 });
    expect(stolenShare(from, parseProcessorTime(stat(175, 45)))).to.equal(0.25);
    expect(stolenShare(from, from)).to.equal(0);
    const { all, stolen } = readProcessorTime();
    expect(stolen).to.be.within(0, all);
  });

  it('compares within each round, so that a machine that slows down for both changes no ratio', () => {
    const samples = [
      sample('ours', 1, 300),
      sample('theirs', 1, 100),
      sample('ours', 2, 60),
      sample('theirs', 2, 30),
      sample('ours', 3, 8),
      sample('theirs', 3, 2),
    ];
    const row = compare(samples, { ...comparison, target: { kind: 'ratio', atLeast: 3.5 } });
    expect(row).to.deep.equal({
      ...comparison,
      ratio: 3,
      spread: [2, 4],
      value: 60,
      againstValue: 30,
      unit: '1/s',
      target: 'at least 3.5 ×',
      reached: false,
    });
  });

  it('puts what was measured into the page, and refuses a page that has no place for it', () => {
    const page = 'words\n<!-- bench:peers -->\nold\n<!-- /bench:peers -->\nmore words\n';
    const filled = fillRegion(page, 'peers', 'new');
    expect(filled).to.equal('words\n<!-- bench:peers -->\n\nnew\n\n<!-- /bench:peers -->\nmore words\n');
    expect(fillRegion(filled, 'peers', 'new')).to.equal(filled);
    expect(() => fillRegion(page, 'limit', 'new')).to.throw('<!-- bench:limit -->');
    const kept = readFileSync(join(repositoryRoot, 'docs/benchmarks.md'), 'utf8');
    for (const name of ['models', 'contestants', 'targets', ...suiteNames])
      expect(fillRegion(kept, name, 'new')).to.include('new');
  });

  it('shows on the page what is kept, and nothing that was mended there by hand', () => {
    const { page, folder } = pagePlace(repositoryRoot);
    const copies = temporaryDirectory('bench-page');
    try {
      const copy = join(copies, 'benchmarks.md');
      copyFileSync(page, copy);
      writePage({ page: copy, folder }, suiteNames);
      expect(readFileSync(copy, 'utf8')).to.equal(readFileSync(page, 'utf8'));
    } finally {
      removeDirectory(copies);
    }
  });

  it('keeps the last three runs of each suite, and says in how many of them a target was reached', () => {
    const row = (suite: string, ratio: number): Row => ({
      suite,
      model: 'tiny',
      contestant: 'troupe-sdk',
      against: 'fastify',
      inFlight: 64,
      metric: 'throughput',
      ratio,
      spread: [ratio, ratio],
      value: 100 * ratio,
      againstValue: 100,
      unit: '1/s',
      target: 'at least 1.6 ×',
      reached: ratio >= 1.6,
    });
    const report = (suite: string, rows: readonly Row[]) =>
      ({ suite, rows, startedAt: '2026-01-01T00:00:00Z', machine: { commit: 'abc' } }) as unknown as Report;
    const { target: _, reached: __, ...free } = row('peers', 9);
    let runs: TargetRun[] = [];
    for (const ratio of [1, 1.5, 1.7]) runs = addRun(runs, report('peers', [row('peers', ratio), free]));
    runs = addRun(runs, report('wire', [free]));
    runs = addRun(runs, report('limit', [row('limit', 1)]));
    const lines = () => targetTable(runs, ['limit', 'peers', 'wire']).rows.map((cells) => cells.slice(5));
    expect(lines()).to.deep.equal([
      ['1.00', 'missed'],
      ['1.00, 1.50, 1.70', 'in 1 of 3'],
    ]);
    for (const ratio of [1.8, 1.9]) runs = addRun(runs, report('peers', [row('peers', ratio)]));
    expect(lines()[1]).to.deep.equal(['1.70, 1.80, 1.90', 'in all 3']);
  });

  it('draws a bar for each value, as long as it is in proportion', () => {
    const svg = drawChart({
      name: 'peers-tiny',
      title: 'a < b',
      unit: 'answers/s',
      labels: ['fastify', 'troupe-sdk'],
      series: [{ name: 'median', values: [100, 200], low: [90, 180], high: [110, 200] }],
    });
    expect(svg).to.include('a &lt; b');
    const bars = [...svg.matchAll(/<rect x="230" y="\d+" width="([\d.]+)"/g)].map(([, wide]) => Number(wide));
    expect(bars).to.deep.equal([190, 380]);
  });

  it('quick gives the rows of peers, limit and batching, from contestants that all answer as ONNX Runtime does', async function () {
    this.timeout(240_000);
    const measured: Sample[] = [];
    const report = await runSuite(quick, {
      ...context,
      models: ['tiny', 'rank'],
      measured: (more) => measured.push(...more),
    });
    const key = ({ suite, model, contestant, against, inFlight, metric }: Row) =>
      [suite, model, contestant, against, inFlight, metric].join(' ');
    const keys = report.rows.map(key);
    for (const wanted of [
      'peers tiny troupe-sdk fastify 64 throughput',
      'peers tiny troupe-sdk fastify 64 p99',
      'peers rank troupe-sdk fastify-batched 64 throughput',
      'limit rank troupe-sdk loop 64 throughput',
      'batching rank dynamic none 64 throughput',
      'batching rank dynamic none 64 p99',
      'batching rank dynamic fixed-8 64 throughput',
    ]) {
      expect(keys).to.include(wanted);
    }
    for (const row of report.rows) {
      expect(
        [row.ratio, row.value, row.againstValue, ...row.spread].every((value) => value > 0),
        key(row),
      ).to.equal(true);
      expect(row.unit, key(row)).to.equal(row.metric === 'throughput' ? '1/s' : 'ms');
    }
    const samples = report.samples as readonly Sample[];
    expect(measured).to.deep.equal(samples);
    // Two rounds, in turn: tiny by three contestants, rank by six.
    expect(samples.map(({ contestant, round }) => `${contestant} ${round}`)).to.deep.equal(
      [
        ['fastify', 'fastify-batched', 'troupe-sdk'],
        ['loop', 'fastify', 'fastify-batched', 'troupe-sdk', 'none', 'fixed-8'],
      ].flatMap((names) => [1, 2].flatMap((round) => names.map((name) => `${name} ${round}`))),
    );
    for (const { checked, answers } of samples) expect(checked).to.be.at.least(answers).and.above(0);
    expect(report.machine.cores).to.be.greaterThan(0);
    expect(report.machine.versions).to.include.keys(
      'node',
      'onnxruntime-node',
      'fastify',
      'nats-server',
      'redis-server',
    );
    expect(report).to.include({ suite: 'quick', intraOpThreads: 1 });
  });

  for (const suite of suites.filter(({ name }) => !['peers', 'limit', 'batching'].includes(name))) {
    it(`${suite.name} gives its tables, filled`, async function () {
      this.timeout(240_000);
      const { samples, tables } = await runSuite(suite, context);
      expect(samples).not.to.have.length(0);
      expect(tables.some(({ rows }) => rows.length > 0)).to.equal(true);
      for (const { title, head, rows } of tables) {
        for (const row of rows) {
          expect(row, title).to.have.length(head.length);
          expect(row, title).not.to.include('–');
        }
      }
    });
  }
});
