/** Traces across processes: OpenTelemetry's SDK loaded into all of them as a team would, and the spans that come out. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SpanAttribute } from '@troupe/shared';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { registerIris } from '../harness/iris-model.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import { waitUntil } from '../harness/wait-until.js';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  /** Seconds, and nanoseconds beside them. */
  readonly duration: readonly [number, number];
  readonly attributes: Readonly<Record<string, unknown>>;
}

const secondsOf = ({ duration: [seconds, nanoseconds] }: Span) => seconds + nanoseconds / 1e9;

describe('traces', () => {
  let folder: string;
  let env: Readonly<Record<string, string>>;
  let cluster: TestCluster;
  afterEach(printLogsOnFailure(() => cluster));

  before(async function () {
    this.timeout(120_000);
    folder = temporaryDirectory('traces');
    env = {
      NODE_OPTIONS: `--import=${pathToFileURL(join(repositoryRoot, 'test/harness/tracing.mjs')).href}`,
      TRACE_FOLDER: folder,
      OTEL_BSP_SCHEDULE_DELAY: '100',
    };
    cluster = await startCluster({ env });
    await registerIris(await cluster.connect(), 1);
  });

  after(async function () {
    this.timeout(60_000);
    await cluster?.stop();
    removeDirectory(folder);
  });

  function ask(input: string, settings: Readonly<Record<string, string>> = {}) {
    const bin = join(repositoryRoot, 'packages/client/bin/troupe.js');
    return spawnSync(process.execPath, [bin, 'infer', 'iris', '--input', input], {
      env: { ...process.env, NATS_URL: cluster.natsUrl, ...env, ...settings },
      encoding: 'utf8',
      timeout: 60_000,
    });
  }

  const spans = (): Span[] =>
    readdirSync(folder).flatMap((name) =>
      readFileSync(join(folder, name), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Span),
    );

  it("a request's span in the client is the parent of its span in the runner", async () => {
    const asked = ask('[[5.1,3.5,1.4,0.2]]');
    expect(asked.status, asked.stderr).to.equal(0);
    const found = await waitUntil('there is a span of the client and one of the runner', () => {
      const all = spans();
      const run = all.find(({ name }) => name === 'run iris');
      const infer = all.find(({ name }) => name === 'infer iris');
      return run !== undefined && infer !== undefined ? { run, infer } : undefined;
    });
    const { run, infer } = found;
    expect(run.traceId).to.equal(infer.traceId);
    expect(run.parentSpanId).to.equal(infer.spanId);
    // The runner makes its spans some at a time, later: they end when the answer left nevertheless.
    expect(secondsOf(run)).to.be.greaterThan(0).and.lessThan(secondsOf(infer));
    expect(infer.attributes).to.deep.equal({ [SpanAttribute.Model]: 'iris' });
    expect(run.attributes).to.include({
      [SpanAttribute.Model]: 'iris',
      [SpanAttribute.Version]: 1,
      [SpanAttribute.Delivery]: 1,
      [SpanAttribute.Degraded]: false,
    });
  });

  for (const [part, variable] of [
    ['propagator', 'TRACE_PROPAGATOR'],
    ['context manager', 'TRACE_CONTEXT_MANAGER'],
  ] as const) {
    it(`the two belong together where the service has no ${part}`, async () => {
      const before = new Set(spans().map(({ spanId }) => spanId));
      expect(ask('[[5.1,3.5,1.4,0.2]]', { [variable]: 'none' }).status).to.equal(0);
      const made = await waitUntil('there are two more spans', () => {
        const more = spans().filter(({ spanId }) => !before.has(spanId));
        return more.length === 2 ? more : undefined;
      });
      const infer = made.find(({ name }) => name === 'infer iris');
      expect(made.find(({ name }) => name === 'run iris')?.parentSpanId).to.equal(infer?.spanId);
    });
  }

  it('a plain NATS request brings its own traceparent, and one that is none is dropped', async () => {
    const bare = await cluster.connectBare();
    const question = JSON.stringify({
      inputs: [{ name: 'input', shape: [1, 4], datatype: 'FP32', data: [5.1, 3.5, 1.4, 0.2] }],
    });
    // The door has a routing table of its own, which may hear of the model later than the client's.
    await waitUntil('the door knows the model', async () => {
      const { headers } = await bare.request('troupe.infer.iris', question);
      return headers['Nats-Service-Error-Code'] === undefined;
    });
    const before = spans().length;
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    for (const traceparent of [`00-${traceId}-sampled-01`, `00-${traceId}-b7ad6b7169203331-01`]) {
      const { headers } = await bare.request('troupe.infer.iris', question, { headers: { traceparent } });
      expect(headers).to.deep.equal({});
    }
    await waitUntil('there is a span of the request that named one', () => spans().length > before);
    const [run, ...more] = spans().filter((span) => span.traceId === traceId);
    expect(run).to.include({ name: 'run iris', parentSpanId: 'b7ad6b7169203331' });
    expect(more).to.deep.equal([]);
    expect(spans().length).to.equal(before + 1);
  });

  it('a request that is refused says why in its span', async () => {
    expect(ask('[[1,2,3]]').status).to.equal(1);
    await waitUntil('there is a span with the reason of the refusal', () =>
      spans().some(
        ({ name, attributes }) =>
          name === 'infer iris' && String(attributes[SpanAttribute.ErrorType]).startsWith('request.'),
      ),
    );
  });

  it('the runner makes none where the caller does not sample', async () => {
    const before = spans().length;
    expect(ask('[[5.1,3.5,1.4,0.2]]', { OTEL_TRACES_SAMPLER: 'always_off' }).status).to.equal(0);
    // One that is sampled, after it: once its spans are there, those of the one before would be, too.
    expect(ask('[[5.1,3.5,1.4,0.2]]').status).to.equal(0);
    await waitUntil('the spans of the second request are there', () => spans().length >= before + 2);
    expect(spans().length).to.equal(before + 2);
  });

  it('a share of the calls is put to the sampler: none begins a trace, one beneath an active span is part of it', async () => {
    const before = spans().length;
    const script = `
      import { connect } from '@troupe/client';
      import { trace } from '@opentelemetry/api';
      const troupe = await connect({ traceShare: 0 });
      for (let count = 0; count < 20; count += 1) await troupe.infer('iris', [[5.1, 3.5, 1.4, 0.2]]);
      await trace.getTracer('test').startActiveSpan('parent', async (span) => {
        await troupe.infer('iris', [[5.1, 3.5, 1.4, 0.2]]);
        span.end();
      });
      await troupe.close();
      await trace.getTracerProvider().getDelegate().forceFlush();
    `;
    const asked = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, NATS_URL: cluster.natsUrl, ...env },
      cwd: repositoryRoot,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(asked.status, asked.stderr).to.equal(0);
    await waitUntil('the spans of the traced call are there', () => spans().length >= before + 3);
    const all = spans();
    expect(all.length).to.equal(before + 3);
    const parent = all.find(({ name }) => name === 'parent');
    const together = all.filter(({ traceId }) => traceId === parent?.traceId);
    expect(together.map(({ name }) => name).sort()).to.deep.equal(['infer iris', 'parent', 'run iris']);
  });
});
