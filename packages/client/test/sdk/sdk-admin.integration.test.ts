/** The admin side of the SDK: registration, lists, events. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Signature, TroupeError, type TroupeEvent } from '@troupe/shared';
import { createArtifactStore } from '@troupe/shared/nats';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { connect, type RegisterProgress, type TroupeClient } from '../../src/index.js';
import { expectReject } from '../expect-error.js';
import { type StandInCluster, startStandIn } from '../stand-in-cluster.js';

type Args = Readonly<Record<string, unknown>>;

const signature: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
  outputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
};

describe('registerModel()', () => {
  let cluster: StandInCluster;
  let client: TroupeClient;
  let folder: string;
  let registered: Args[];
  let answer: (args: Args) => Promise<unknown>;

  before(async () => {
    cluster = await startStandIn();
    await cluster.serveAdmin({
      'models.register': (args) => {
        registered.push(args);
        return answer(args);
      },
      'cluster.info': async () => ({}),
    });
    client = await connect({ servers: cluster.url });
    folder = mkdtempSync(join(tmpdir(), 'troupe-register-'));
  });
  beforeEach(() => {
    registered = [];
    answer = async (args) => ({ model: args.name, version: 1, created: true });
  });
  after(async () => {
    await client?.close();
    await cluster?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('uploads the file under its SHA-256, then asks for the registration with all settings', async () => {
    const file = join(folder, 'm.onnx');
    const bytes = Buffer.from('not looked at here');
    writeFileSync(file, bytes);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const progress: RegisterProgress[] = [];
    const golden = [
      {
        name: 'one',
        inputs: [{ name: 'x', datatype: 'INT64', shape: [1], data: [9_223_372_036_854_775_807n] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: [Number.NaN, 1] }],
      },
    ];
    const result = await client.registerModel({
      name: 'm',
      file,
      golden,
      maxBatchSize: 8,
      maxDelayMs: 2,
      replicas: 3,
      limits: { runLimitMs: 500 },
      onProgress: (step) => progress.push(step),
    });
    expect(result).to.deep.equal({ model: 'm', version: 1, created: true, digest, sizeBytes: bytes.length });
    expect(registered).to.deep.equal([
      {
        name: 'm',
        digest,
        sizeBytes: bytes.length,
        batching: { maxBatchSize: 8, maxDelayMs: 2 },
        replicas: 3,
        limits: { runLimitMs: 500 },
        golden: [
          {
            name: 'one',
            inputs: [{ name: 'x', datatype: 'INT64', shape: [1], data: ['9223372036854775807'] }],
            outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: ['NaN', 1] }],
          },
        ],
      },
    ]);
    expect(await createArtifactStore(cluster.link).has(digest)).to.equal(true);
    expect(progress.map((step) => step.phase)).to.deep.equal(['uploading', 'uploading', 'trying']);
  });

  it('an artifact that the store has is not uploaded again', async () => {
    const bytes = new Uint8Array(300_000).fill(7);
    const phases: string[] = [];
    const options = { name: 'm', bytes, onProgress: (step: RegisterProgress) => phases.push(step.phase) };
    await client.registerModel(options);
    expect(phases).to.include('uploading');
    phases.length = 0;
    await client.registerModel(options);
    expect(phases).to.deep.equal(['trying']);
  });

  it('a version with the label stable is waited for until it serves', async () => {
    answer = async () => {
      setTimeout(() => void cluster.route('waited', { 1: { signature, state: 'loading' } }), 20);
      setTimeout(() => void cluster.route('waited', { 1: { signature, state: 'ready' } }), 80);
      return { model: 'waited', version: 1, created: true, label: 'stable' };
    };
    const phases: string[] = [];
    await client.registerModel({
      name: 'waited',
      bytes: Uint8Array.of(1),
      onProgress: (step) => phases.push(step.phase),
    });
    expect(phases.at(-1)).to.equal('waiting');
    expect(
      await client
        .infer('waited', new Float32Array(1), { deadlineMs: 1 })
        .catch((error: TroupeError) => error.reason),
    ).to.equal('request.deadline');
  });

  it('a version that does not come to serve is an error that says it is registered, and why', async () => {
    answer = async (args) => ({ model: args.name, version: 2, created: true, label: 'stable' });
    const register = (name: string, waitUntilServingMs: number) =>
      client.registerModel({ name, bytes: Uint8Array.of(1), waitUntilServingMs });
    await expectReject(register('never', 50), 'model.loading', 'version 2 of model never is registered');
    await cluster.route('cramped', { 2: { signature, state: 'unplaced', reason: 'all 2 slots are taken' } });
    await expectReject(
      register('cramped', 100),
      'placement.no_slot',
      'is registered',
      'all 2 slots are taken',
    );
    await cluster.route('broken', { 2: { signature, state: 'failed', reason: 'golden case a differs' } });
    await expectReject(
      register('broken', 5_000),
      'model.load_failed',
      'is registered',
      'golden case a differs',
    );
    expect(await register('never', 0)).to.include({ version: 2, label: 'stable' });
  });

  it('what the trial refuses comes as it is', async () => {
    answer = () => Promise.reject(new TroupeError('model.not_onnx', 'the file is not ONNX'));
    await expectReject(
      client.registerModel({ name: 'm', bytes: Uint8Array.of(1) }),
      'model.not_onnx',
      'not ONNX',
    );
  });

  it('options that cannot be meant are refused before anything is sent', async () => {
    const bytes = Uint8Array.of(1);
    await expectReject(client.registerModel({ name: 'a.b', bytes }), 'model.name', 'a.b');
    await expectReject(client.registerModel({ name: 'm' }), 'request.arguments', 'either file or bytes');
    await expectReject(
      client.registerModel({ name: 'm', bytes, file: 'x' }),
      'request.arguments',
      'either file or bytes',
    );
    await expectReject(
      client.registerModel({ name: 'm', file: join(folder, 'none.onnx') }),
      'request.arguments',
      'none.onnx',
      'no such file',
    );
    await expectReject(client.registerModel({ name: 'm', file: folder }), 'request.arguments', 'folder');
    await expectReject(
      client.registerModel({ name: 'm', bytes: 'abc' as never }),
      'request.arguments',
      'Uint8Array',
    );
    await expectReject(
      client.registerModel({ name: 'm', bytes, maxBatchSize: 0 }),
      'request.arguments',
      'maxBatchSize',
    );
    await expectReject(
      client.registerModel({ name: 'm', bytes, replicas: 1.5 }),
      'request.arguments',
      'replicas',
    );
    await expectReject(
      client.registerModel({ name: 'm', bytes, maxBatchsize: 1 } as never),
      'request.parameter',
      'did you mean maxBatchSize?',
    );
    const golden = [
      { name: 'g', inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1] }], outputs: [] },
    ];
    await expectReject(client.registerModel({ name: 'm', bytes, golden }), 'model.golden', '"g"', '"x"');
    expect(registered).to.deep.equal([]);
  });
});

describe('lists and settings', () => {
  let cluster: StandInCluster;
  let client: TroupeClient;
  const calls: [string, Args][] = [];

  before(async () => {
    cluster = await startStandIn();
    const noted = (name: string, result: unknown) => async (args: Args) => {
      calls.push([name, args]);
      return result;
    };
    await cluster.serveAdmin({
      'models.list': noted('models.list', {
        models: [{ name: 'iris', labels: { stable: 1 }, replicas: 2, versions: [] }],
      }),
      'models.show': noted('models.show', { name: 'iris', labels: {}, replicas: 2, versions: [] }),
      'models.label': noted('models.label', {}),
      'models.delete': noted('models.delete', {}),
      'models.retry': noted('models.retry', {}),
      'hosts.list': noted('hosts.list', {
        hosts: [{ host: 'a', token: 7, remainingMs: 2_000, report: { host: 'a', slots: 2, workers: [] } }],
      }),
      'workers.list': noted('workers.list', { workers: 'none' }),
      'hosts.scale': noted('hosts.scale', {}),
      'cluster.info': noted('cluster.info', {}),
    });
    client = await connect({ servers: cluster.url });
    calls.length = 0;
  });
  after(async () => {
    await client?.close();
    await cluster?.stop();
  });

  it('each call goes to its endpoint with its arguments', async () => {
    expect((await client.models())[0]?.name).to.equal('iris');
    expect((await client.model('iris')).replicas).to.equal(2);
    expect(await client.hosts()).to.deep.equal([
      { host: 'a', slots: 2, workers: [], leaseRemainingMs: 2_000, token: 7 },
    ]);
    await client.label('iris', 'canary', 2);
    await client.label('iris', 'canary', null);
    await client.deleteModel('iris', 1);
    await client.deleteModel('iris');
    await client.retryModel('iris', 3);
    await client.scale('a', 4);
    expect(calls).to.deep.equal([
      ['models.list', {}],
      ['models.show', { model: 'iris' }],
      ['hosts.list', {}],
      ['models.label', { model: 'iris', label: 'canary', version: 2 }],
      ['models.label', { model: 'iris', label: 'canary', version: null }],
      ['models.delete', { model: 'iris', version: 1 }],
      ['models.delete', { model: 'iris' }],
      ['models.retry', { model: 'iris', version: 3 }],
      ['hosts.scale', { host: 'a', slots: 4 }],
    ]);
  });

  it('arguments that cannot be meant are refused here', async () => {
    await expectReject(client.scale('a', -1), 'request.arguments', 'slots');
    await expectReject(client.scale('a b', 1), 'config.invalid', 'a b');
    await expectReject(client.label('iris', 'Not Good', 1), 'request.name');
    await expectReject(client.recentEvents(0), 'request.arguments', 'count');
  });

  it('an answer of another form is an error, not a crash later on', async () => {
    await expectReject(client.workers(), 'answer.malformed', 'workers.list');
  });

  it('events come by iteration and by callback, until somebody stops', async () => {
    const heard: string[] = [];
    const stop = client.onEvent((event) => heard.push(event.text), { kinds: ['worker.state'] });
    const controller = new AbortController();
    const iterated: TroupeEvent[] = [];
    const reading = (async () => {
      for await (const event of client.events({ signal: controller.signal })) iterated.push(event);
    })();
    await waitUntil('events arrive', () => {
      cluster.emit('one');
      return heard.length > 0 && iterated.length > 0;
    });
    stop();
    controller.abort();
    await reading;
    const count = heard.length;
    cluster.emit('two');
    await waitUntil('the last event is kept', async () => (await client.recentEvents(1))[0]?.text === 'two');
    expect(heard.length).to.equal(count);
    expect(iterated[0]).to.include({ kind: 'worker.state', source: 'host/test', text: 'one' });
  });

  it('leaving the loop stops listening', async () => {
    const feed = client.events();
    let came = false;
    const first = feed.next().then(() => {
      came = true;
    });
    await waitUntil('one comes', () => {
      cluster.emit('three');
      return came;
    });
    await first;
    await feed.return?.();
    expect(await feed.next()).to.deep.equal({ done: true, value: undefined });
    expect(() => client.events({ kinds: ['no.such' as never] })).to.throw('no.such');
  });
});
