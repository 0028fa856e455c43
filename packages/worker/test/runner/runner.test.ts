/** The whole runner as a process, against a real NATS server, with a stand-in for its host. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import {
  decodeInferResponse,
  encodeInferRequest,
  type InferResponse,
  type ModelVersion,
  type Signature,
  type Tensor,
  TroupeError,
  tensorFromValues,
  viewAs,
} from '@troupe/shared';
import {
  connectNats,
  createWorkPuller,
  createWorkSubmitter,
  declareRecordStreams,
  type NatsLink,
  nakOnBehalf,
  publishCancel,
  type WorkRequest,
  type WorkSubmitter,
  workQueueCounts,
} from '@troupe/shared/nats';
import { encodeModel, identityModel, tensorValue } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { failsOn, hugeOutput, slowOn } from '../../../../test/models/misbehaving-models.js';
import { tryGentleLoads } from '../../src/host/priority-trial.js';
import type { RunnerSpec } from '../../src/ipc/runner-messages.js';
import { sessionShare, threadPriorities } from '../processor-share.js';
import { StandInHost } from './stand-in-host.js';

const model = 'm';
const limits = { ackWaitMs: 2_000, queueLimit: 10_000, streamBytes: 64 * 1024 * 1024 };

const fourColumns = (outputWidth = 4): Signature => ({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, outputWidth] }],
});

function versionOf(signature: Signature, changes: Partial<ModelVersion> = {}): ModelVersion {
  return {
    version: 1,
    digest: '0'.repeat(64),
    sizeBytes: 1,
    signature,
    batchable: true,
    batching: { maxBatchSize: 32, maxDelayMs: 0 },
    limits: {},
    golden: [],
    registeredAt: new Date(0).toISOString(),
    ...changes,
  };
}

function rows(values: readonly (readonly number[])[], name = 'input'): Tensor {
  return tensorFromValues(name, 'FP32', [values.length, values[0]?.length ?? 0], values.flat());
}

function floats(response: InferResponse, index = 0): number[] {
  return [...viewAs('FP32', response.outputs[index]?.data as Uint8Array)];
}

describe('runner process', function () {
  this.timeout(120_000);
  let nats: NatsServer;
  let link: NatsLink;
  let submitter: WorkSubmitter;
  let folder: string;
  const hosts: StandInHost[] = [];

  before(async () => {
    nats = await startNats({ maxPayload: 1024 * 1024 });
    folder = temporaryDirectory('runner');
  });
  after(async () => {
    await nats.stop();
    removeDirectory(folder);
  });
  beforeEach(async () => {
    // A namespace for each test keeps their queues apart.
    link = await connectNats({ servers: nats.url, name: 'test', namespace: `t${randomUUID().slice(0, 8)}` });
    submitter = createWorkSubmitter(link);
  });
  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.stop()));
    submitter.close();
    await link.close();
  });

  function start(bytes: Uint8Array, version: ModelVersion, changes: Partial<RunnerSpec> = {}): StandInHost {
    const modelPath = join(folder, `${randomUUID()}.onnx`);
    writeFileSync(modelPath, bytes);
    const host = new StandInHost({
      namespace: link.subjects.namespace,
      natsUrl: nats.url,
      host: 'h',
      model,
      version,
      device: 'cpu:0',
      modelPath,
      intraOpThreads: 1,
      credits: 128,
      ...limits,
      logLevel: 'fatal',
      ...changes,
    });
    hosts.push(host);
    return host;
  }

  async function warm(bytes: Uint8Array, version: ModelVersion, changes: Partial<RunnerSpec> = {}) {
    const host = start(bytes, version, changes);
    await waitUntil('the runner is warm', () => host.first('warmed'), { timeoutMs: 60_000 });
    return host;
  }

  async function serve(bytes: Uint8Array, version: ModelVersion, changes: Partial<RunnerSpec> = {}) {
    const host = await warm(bytes, version, changes);
    host.order({ kind: 'serve', credits: changes.credits ?? 128 });
    return host;
  }

  async function infer(
    inputs: readonly Tensor[],
    changes: Partial<WorkRequest> = {},
  ): Promise<InferResponse> {
    const answer = await submitter.submit({
      model,
      version: 1,
      message: encodeInferRequest({ inputs, binaryOutput: true }, true),
      requestId: randomUUID(),
      deadlineMs: 20_000,
      ...changes,
    });
    return decodeInferResponse(answer?.payload ?? new Uint8Array(), answer?.jsonLength);
  }

  async function reasonOf(answer: Promise<unknown>): Promise<string> {
    try {
      await answer;
    } catch (thrown) {
      if (thrown instanceof TroupeError) return thrown.reason;
      throw thrown;
    }
    return 'answered';
  }

  const counts = () => workQueueCounts(link, model, 1);

  it('answers every request of 64 in flight with its own rows, in batches, and acks all', async () => {
    const host = await serve(identityModel(), versionOf(fourColumns()));
    const all = Array.from({ length: 2_000 }, (_, index) => index);
    const work = async () => {
      for (let index = all.pop(); index !== undefined; index = all.pop()) {
        const count = 1 + (index % 3);
        const sent = Array.from({ length: count }, (_, row) => [index, row, -index, 0.5]);
        const response = await infer([rows(sent)]);
        expect(floats(response)).to.deep.equal(sent.flat());
        expect(response.modelVersion).to.equal('1');
      }
    };
    await Promise.all(Array.from({ length: 64 }, work));
    await waitUntil('everything is acked', async () => (await counts())?.messages === 0);
    await waitUntil('the host knows that nothing is held', () => host.held.length === 0);
    await waitUntil('the status is in', () => host.status?.completed === 2_000);
    const { batches = 0, failed } = host.status ?? {};
    expect(failed).to.equal(0);
    expect(2_000 / batches, 'requests per run').to.be.above(2);
  });

  it('hurts no neighbour by a bad request in the same would-be batch', async () => {
    await serve(failsOn(), versionOf(fourColumns(2), { batching: { maxBatchSize: 32, maxDelayMs: 30 } }));
    const good = Array.from({ length: 20 }, (_, index) => infer([rows([[index % 4, 0, 0, 0]])]));
    const bad = [
      reasonOf(infer([rows([[77, 0, 0, 0]])])),
      reasonOf(infer([rows([[0, 0, 0]])])),
      reasonOf(infer([rows([[0, 0, 0, 0]], 'inptu')])),
      reasonOf(
        infer([], { message: { payload: new TextEncoder().encode('{"inputs": ['), jsonLength: undefined } }),
      ),
      reasonOf(infer([], { message: { payload: new Uint8Array(0), jsonLength: undefined } })),
    ];
    expect(await Promise.all(bad)).to.deep.equal([
      'model.run_failed',
      'request.tensor_shape',
      'request.input_unknown',
      'request.json_syntax',
      'request.empty',
    ]);
    const answers = await Promise.all(good);
    const expected = answers.map((_, index) => [index % 4, 10 * (index % 4)]);
    expect(answers.map((answer) => floats(answer))).to.deep.equal(expected);
  });

  it('answers JSON with JSON, echoes the id, and names the version that answered', async () => {
    await serve(identityModel(), versionOf(fourColumns()));
    const message = encodeInferRequest({ id: 'mine', inputs: [rows([[1, 2, 3, 4]])] }, false);
    const answer = await submitter.submit({ model, version: 1, message, requestId: 'r', deadlineMs: 10_000 });
    expect(answer?.jsonLength).to.equal(undefined);
    const body = JSON.parse(new TextDecoder().decode(answer?.payload)) as Record<string, unknown>;
    expect(body).to.include({ model_name: model, model_version: '1', id: 'mine' });
  });

  it('hands nobody the rows of a batch that come out in another number, and runs its requests alone', async () => {
    // The mean over all rows: one row, whatever went in. Declared batchable, so the guard is all that is left.
    const mean = encodeModel({
      graph: {
        inputs: [tensorValue('input', 'FLOAT', ['N', 4])],
        outputs: [tensorValue('output', 'FLOAT', ['N', 4])],
        nodes: [
          {
            opType: 'ReduceMean',
            inputs: ['input'],
            outputs: ['output'],
            attributes: { axes: { type: 'ints', value: [0] } },
          },
        ],
      },
    });
    const batching = { maxBatchSize: 8, maxDelayMs: 50 };
    const host = await serve(mean, versionOf(fourColumns(), { batching }));
    const values = [1, 2, 3, 4, 5, 6, 7, 8];
    const answers = await Promise.all(values.map((value) => infer([rows([[value, 0, 0, 0]])])));
    expect(answers.map((answer) => floats(answer)[0])).to.deep.equal(values);
    await waitUntil('the status is in', () => host.status?.completed === 8);
    expect(host.status?.batches, 'one together, then each alone').to.be.above(8);
  });

  it('refuses an answer above the server limit, naming both sizes, and goes on', async () => {
    const signature: Signature = {
      inputs: [{ name: 'count', datatype: 'INT64', shape: [1] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1] }],
    };
    await serve(hugeOutput(), versionOf(signature, { batchable: false }));
    const ask = (count: number) => infer([tensorFromValues('count', 'INT64', [1], [BigInt(count)])]);
    const refusal = await ask(10_000_000).then(
      () => undefined,
      (thrown: unknown) => thrown as TroupeError,
    );
    expect(refusal?.reason).to.equal('answer.too_large');
    expect(refusal?.message)
      .to.include('40000000')
      .and.include(String(1024 * 1024));
    expect(floats(await ask(3))).to.deep.equal([1, 1, 1]);
  });

  it('drops a cancelled request without a run, and an expired one with the deadline as its answer', async () => {
    const host = await serve(slowOn(), versionOf(fourColumns(), { batchable: false }), { credits: 8 });
    const long = infer([rows([[400_000, 0, 0, 0]])]); // keeps the session for a good while
    const alsoLong = infer([rows([[400_000, 1, 0, 0]])]);
    await waitUntil('both hold the session', () => host.held.length === 2);
    const cancelled = reasonOf(infer([rows([[0, 0, 0, 0]])], { requestId: 'to-cancel' }));
    const expired = reasonOf(infer([rows([[0, 0, 0, 0]])], { deadlineMs: 100 }));
    await waitUntil('both wait', () => host.held.length === 4);
    publishCancel(link, model, 1, { id: 'to-cancel' });
    expect(await cancelled).to.equal('request.cancelled');
    expect(await expired).to.equal('request.deadline');
    await waitUntil('their slots are free', () => host.held.length <= 2);
    await Promise.all([long, alsoLong]);
    await waitUntil('nothing is left', async () => (await counts())?.messages === 0);
    await waitUntil('the status is in', () => host.status?.inFlight === 0 && host.status.completed === 2);
  });

  it('keeps what it holds from being delivered elsewhere while it runs, however long', async () => {
    const host = await serve(slowOn(), versionOf(fourColumns(), { batchable: false }), { ackWaitMs: 400 });
    await infer([rows([[800_000, 0, 0, 0]])], { deadlineMs: 30_000 });
    await waitUntil('all is acked', async () => (await counts())?.messages === 0);
    await waitUntil('the status is in', () => host.status?.completed === 1);
    expect(host.status?.batches).to.equal(1);
  });

  it('drains: finishes what it holds, hands back nothing, takes nothing new, and ends by itself', async () => {
    const host = await serve(slowOn(), versionOf(fourColumns(), { batchable: false }), { credits: 4 });
    const held = Array.from({ length: 4 }, () => infer([rows([[50_000, 0, 0, 0]])]));
    await waitUntil('it holds them', () => host.held.length > 0);
    host.order({ kind: 'drain', boundMs: 20_000 });
    const late = infer([rows([[0, 7, 0, 0]])]);
    expect(await host.exited).to.deep.equal({ code: 0, signal: null });
    expect(host.first('drained')?.handedBack).to.equal(0);
    const next = await serve(slowOn(), versionOf(fourColumns(), { batchable: false }));
    expect(floats(await late)).to.deep.equal([0, 7, 0, 0]);
    await Promise.all(held);
    await waitUntil('nothing is left', async () => (await counts())?.messages === 0);
    await waitUntil('it has told that it holds nothing', () => next.held.length === 0);
  });

  it('hands back what does not finish within the drain bound, to be answered elsewhere', async () => {
    const version = versionOf(fourColumns(), { batchable: false });
    const second = await warm(slowOn(), version);
    const first = await serve(slowOn(), version, { credits: 4 });
    const long = infer([rows([[700_000, 0, 0, 0]])]);
    await waitUntil('it runs', () => first.held.length === 1);
    const waiting = [1, 2].map((value) => infer([rows([[0, value, 0, 0]])]));
    await waitUntil('they wait there', () => first.held.length === 3);
    first.order({ kind: 'drain', boundMs: 1 });
    await waitUntil('it has drained', () => first.first('drained'));
    expect(first.first('drained')?.handedBack).to.equal(3);
    second.order({ kind: 'serve', credits: 128 });
    const answers = await Promise.all(waiting);
    expect(answers.map((answer) => floats(answer)[1])).to.deep.equal([1, 2]);
    await long;
    expect(await first.exited).to.deep.equal({ code: 0, signal: null });
    await waitUntil('the second answered all', () => second.status?.completed === 3);
  });

  it('loses nothing when it is killed: its host hands back what it reported', async () => {
    const version = versionOf(fourColumns(), { batchable: false });
    const second = await warm(slowOn(), version);
    const first = await serve(slowOn(), version, { credits: 16 });
    const sent = Array.from({ length: 16 }, (_, value) => infer([rows([[100_000, value, 0, 0]])]));
    await waitUntil('it holds them', () => first.held.length >= 12);
    second.order({ kind: 'serve', credits: 128 });
    await first.stop();
    for (const message of first.held) nakOnBehalf(link, message);
    const answers = await Promise.all(sent);
    expect(answers.map((answer) => floats(answer)[1])).to.deep.equal(answers.map((_, value) => value));
    await waitUntil('the second helped', () => (second.status?.completed ?? 0) >= 10);
  });

  it('runs a message that was delivered before alone, and says so before and after', async () => {
    const version = versionOf(fourColumns(), { batching: { maxBatchSize: 32, maxDelayMs: 50 } });
    const first = await serve(slowOn(), version, { credits: 8 });
    const sent = Array.from({ length: 8 }, (_, value) => infer([rows([[200_000, value, 0, 0]])]));
    await waitUntil('it holds them', () => first.held.length === 8);
    await first.stop();
    for (const message of first.held) nakOnBehalf(link, message);
    const second = await serve(identityModel(), version);
    await Promise.all(sent);
    await waitUntil('the status is in', () => second.status?.completed === 8);
    expect(second.status?.batches).to.equal(8);
    const alone = second.reports.filter((report) => report.kind === 'running_alone');
    expect(alone.map(({ message }) => message?.delivery)).to.deep.equal(Array(8).fill([2, undefined]).flat());
  });

  it('gives up a request at its tenth delivery: kept among the dead letters, answered, acked', async () => {
    await declareRecordStreams(link);
    let returned = 0;
    const thrower = createWorkPuller(link, {
      model,
      version: 1,
      limits,
      freeSlots: () => 1,
      onMessage: (message) => {
        returned += 1;
        if (message.ref.delivery < 10) thrower.giveBack(message);
        if (message.ref.delivery === 9) thrower.stop().catch(() => undefined);
      },
      onError: () => undefined,
    });
    thrower.start();
    const reason = reasonOf(infer([rows([[1, 2, 3, 4]])]));
    await waitUntil('it was given back nine times', () => returned >= 9);
    const host = await serve(identityModel(), versionOf(fourColumns()));
    expect(await reason).to.equal('request.redelivery_limit');
    await waitUntil('nothing is left', async () => (await counts())?.messages === 0);
    await waitUntil('nothing is held', () => host.held.length === 0);
    const stream = await link.connection
      .jetstreamManager()
      .then((jsm) => jsm.streams.info(link.subjects.deadStream));
    expect(stream.state.messages).to.equal(1);
  });

  it('hands back what has not begun, answers the rest and dies when its host is gone', async () => {
    const version = versionOf(fourColumns(), { batchable: false });
    const second = await warm(slowOn(), version);
    const first = await serve(slowOn(), version, { credits: 8 });
    // A fifth of a second each, on whatever machine: what runs when the host goes has a second to be answered.
    const beganMs = performance.now();
    await infer([rows([[50_000, 0, 0, 0]])]);
    const trips = Math.ceil((50_000 * 200) / (performance.now() - beganMs));
    const sent = Array.from({ length: 8 }, (_, value) => infer([rows([[trips, value, 0, 0]])]));
    await waitUntil('it holds them', () => first.held.length === 8);
    first.child.disconnect();
    second.order({ kind: 'serve', credits: 128 });
    expect(await first.exited).to.deep.equal({ code: null, signal: 'SIGKILL' });
    const answers = await Promise.all(sent);
    expect(answers.map((answer) => floats(answer)[1])).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
    await waitUntil('the second helped', () => (second.status?.completed ?? 0) > 0);
    expect(second.status?.completed).to.be.below(8);
  });

  it('answers for a version that it covers as degraded, under its true version, but not who pinned it', async () => {
    const host = await serve(identityModel(), versionOf(fourColumns(), { version: 1 }));
    host.order({ kind: 'cover', version: versionOf(fourColumns(), { version: 2 }), mode: 'active' });
    const answer = await infer([rows([[1, 2, 3, 4]])], { version: 2 });
    expect(answer.modelVersion).to.equal('1');
    expect(answer.parameters).to.deep.equal({ degraded: true });
    const pinned = infer([rows([[1, 2, 3, 4]])], { version: 2, pinned: true });
    expect(await reasonOf(pinned)).to.equal('model.version_unavailable');
    const own = await infer([rows([[1, 2, 3, 4]])]);
    expect(own.parameters ?? {}).to.not.have.property('degraded');
  });

  it('leaves a pinned request to its own version, which serves soon again, as long as its caller waits', async () => {
    const host = await serve(identityModel(), versionOf(fourColumns(), { version: 1 }));
    const own = versionOf(fourColumns(), { version: 2 });
    host.order({ kind: 'cover', version: own, mode: 'meanwhile' });
    const pinned = infer([rows([[1, 2, 3, 4]])], { version: 2, pinned: true });
    const other = await infer([rows([[5, 6, 7, 8]])], { version: 2 });
    expect(other.parameters).to.deep.equal({ degraded: true });
    const inHaste = infer([rows([[1, 2, 3, 4]])], { version: 2, pinned: true, deadlineMs: 3_000 });
    expect(await reasonOf(inHaste), 'told before its deadline').to.equal('model.version_unavailable');
    await serve(identityModel(), own);
    const answer = await pinned;
    expect(answer.modelVersion).to.equal('2');
    expect(answer.parameters ?? {}).to.not.have.property('degraded');
    // Condemned meanwhile: its own runner comes no more.
    const late = infer([rows([[1, 2, 3, 4]])], { version: 3, pinned: true });
    host.order({ kind: 'cover', version: { ...own, version: 3 }, mode: 'meanwhile' });
    host.order({ kind: 'cover', version: { ...own, version: 3 }, mode: 'active' });
    expect(await reasonOf(late)).to.equal('model.version_unavailable');
  });

  it('reports a model that does not load, with the reason, and ends by itself', async () => {
    const host = start(new Uint8Array([1, 2, 3]), versionOf(fourColumns()));
    expect(await host.exited).to.deep.equal({ code: 0, signal: null });
    expect(host.first('load_failed')?.error.reason).to.equal('model.not_onnx');
  });

  it('does not get warm when a golden case comes out wrong', async () => {
    const golden = {
      name: 'g',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 5] }],
    };
    const host = start(identityModel(), versionOf(fourColumns(), { golden: [golden] }));
    await host.exited;
    expect(host.first('load_failed')?.error.reason).to.equal('model.golden');
    expect(host.first('warmed')).to.equal(undefined);
  });

  it('loads gently where it is told to: every thread at the lowest priority until it is warm, then as before', async function () {
    if ((await tryGentleLoads()) === 'session') this.skip();
    // Its golden case takes a while, so that the time before it is warm is not missed.
    const long = { name: 'input', datatype: 'FP32', shape: [1, 4], data: [500_000, 0, 0, 0] };
    const golden = { name: 'long', inputs: [long], outputs: [{ ...long, name: 'output' }] };
    const host = start(slowOn(), versionOf(fourColumns(), { golden: [golden] }), {
      loadsGently: { by: 'nice', thenPriority: getPriority() },
    });
    const priorities = () => threadPriorities(host.child.pid as number);
    await waitUntil(
      'all its threads, the session’s too, have the lowest, and its session the least share',
      () => {
        const now = priorities();
        const share = sessionShare(host.child.pid as number) ?? 19;
        // With the session's thread there are 8 on Node 24, 12 on Node 20.
        return now.length > 7 && now.every((nice) => nice === 19) && share === 19;
      },
      { timeoutMs: 30_000 },
    );
    await waitUntil('it is warm', () => host.first('warmed'), { timeoutMs: 60_000 });
    expect(new Set(priorities())).to.deep.equal(new Set([getPriority()]));
    await waitUntil('its session has its share back', () => sessionShare(host.child.pid as number) !== 19);
  });

  it('rehearses while it loads gently, and shows nothing of it', async function () {
    if ((await tryGentleLoads()) === 'session') this.skip();
    let rehearsed = 0;
    link.connection.subscribe('$JS.ACK.*.rehearsal.>', {
      callback: () => {
        rehearsed += 1;
      },
    });
    await link.connection.flush();
    const host = await serve(identityModel(), versionOf(fourColumns()), {
      loadsGently: { by: 'nice', thenPriority: getPriority() },
    });
    expect(rehearsed).to.be.at.least(1_000);
    expect(floats(await infer([rows([[1, 2, 3, 4]])]))).to.deep.equal([1, 2, 3, 4]);
    await waitUntil('it tells of its answer', () => host.status?.completed === 1);
    expect(host.status).to.include({ failed: 0, batches: 1, rows: 1 });
    expect(host.held).to.deep.equal([]);
  });

  it('goes on after the NATS server has restarted and forgotten its streams', async () => {
    const host = await serve(identityModel(), versionOf(fourColumns()));
    await infer([rows([[1, 2, 3, 4]])]);
    await nats.restart();
    const answer = await infer([rows([[5, 6, 7, 8]])]);
    expect(floats(answer)).to.deep.equal([5, 6, 7, 8]);
    expect(host.child.exitCode).to.equal(null);
  });
});
