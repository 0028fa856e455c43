/**
 * Models that cannot serve, at registration: each is refused with the reason, and nothing of it stays, neither in the
 * registry nor in the object store nor on a stream nor as a process. The host that tried them goes on serving.
 */
import { createHash } from 'node:crypto';
import type { TroupeClient } from '@troupe/client';
import { createSubjects, type ErrorReason, TroupeError } from '@troupe/shared';
import { callAdmin, connectNats, createArtifactStore, type NatsLink } from '@troupe/shared/nats';
import { encodeModel, identityModel, tensorValue } from '@troupe/shared/onnx';
import { connectRedis, type RedisConnection } from '@troupe/shared/redis';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { tinyMlp } from '../models/dense-models.js';
import { int4Output } from '../models/misbehaving-models.js';

const floats = (name: string) => tensorValue(name, 'FLOAT', ['N', 4]);
const sequence = (name: string) => ({
  name,
  type: {
    kind: 'sequence' as const,
    element: { kind: 'tensor' as const, elementType: 'FLOAT' as const, dims: ['N', 4] },
  },
});

const oneNode = (opType: string, domain?: string) =>
  encodeModel({
    ...(domain === undefined ? {} : { opsets: { '': 17, [domain]: 1 } }),
    graph: {
      inputs: [floats('input')],
      outputs: [floats('output')],
      nodes: [
        { opType, inputs: ['input'], outputs: ['output'], ...(domain === undefined ? {} : { domain }) },
      ],
    },
  });

const externalWeights = (location: string) =>
  encodeModel({
    graph: {
      inputs: [floats('input')],
      outputs: [floats('output')],
      nodes: [{ opType: 'Add', inputs: ['input', 'weight'], outputs: ['output'] }],
      initializers: [
        { name: 'weight', elementType: 'FLOAT', dims: [4], content: { kind: 'external', location } },
      ],
    },
  });

/** One input, given back as it is and in a sequence. */
const withSequenceOutput = (outputs: 'both' | 'sequence only') =>
  encodeModel({
    graph: {
      inputs: [floats('input')],
      outputs: outputs === 'both' ? [sequence('list'), floats('output')] : [sequence('list')],
      nodes: [
        { opType: 'SequenceConstruct', inputs: ['input'], outputs: ['list'] },
        { opType: 'Identity', inputs: ['input'], outputs: ['output'] },
      ],
    },
  });

const sequenceInput = encodeModel({
  graph: {
    inputs: [sequence('list')],
    outputs: [tensorValue('output', 'INT64', [])],
    nodes: [{ opType: 'SequenceLength', inputs: ['list'], outputs: ['output'] }],
  },
});

const newOpset = encodeModel({
  opsets: { '': 99 },
  graph: {
    inputs: [floats('input')],
    outputs: [floats('output')],
    nodes: [{ opType: 'Identity', inputs: ['input'], outputs: ['output'] }],
  },
});

interface RefusedModel {
  readonly title: string;
  readonly bytes: Uint8Array;
  readonly reason: ErrorReason;
  readonly names: RegExp;
}

const refusedModels: readonly RefusedModel[] = [
  { title: 'an empty file', bytes: new Uint8Array(), reason: 'model.not_onnx', names: /empty/ },
  {
    title: 'a file that is not ONNX',
    bytes: Buffer.from('<!doctype html><title>404</title>'),
    reason: 'model.not_onnx',
    names: /ONNX/,
  },
  {
    title: 'a truncated file',
    bytes: tinyMlp().subarray(0, 300),
    reason: 'model.not_onnx',
    names: /cut short|damaged|protobuf/,
  },
  {
    title: 'an operator that does not exist',
    bytes: oneNode('NoSuchOperator'),
    reason: 'model.runtime_unsupported',
    names: /NoSuchOperator/,
  },
  {
    title: 'an operator of a domain that is not there',
    bytes: oneNode('Custom', 'com.example'),
    reason: 'model.runtime_unsupported',
    names: /com\.example|Custom/,
  },
  { title: 'an opset that is too new', bytes: newOpset, reason: 'model.runtime_unsupported', names: /99/ },
  {
    title: 'an unsupported datatype',
    bytes: identityModel({ elementType: 'BFLOAT16' }),
    reason: 'model.datatype_unsupported',
    names: /BFLOAT16/,
  },
  {
    title: 'an INT4 output',
    bytes: int4Output('declared'),
    reason: 'model.datatype_unsupported',
    names: /output.*INT4/i,
  },
  {
    title: 'an INT4 output that the file does not declare',
    bytes: int4Output('undeclared'),
    reason: 'model.datatype_unsupported',
    names: /output.*INT4/i,
  },
  ...['../weights.bin', '/etc/passwd', '..\\weights.bin', 'weights.bin'].map(
    (location): RefusedModel => ({
      title: `external data at ${location}`,
      bytes: externalWeights(location),
      reason: 'model.external_data',
      names: /weight/,
    }),
  ),
  {
    title: 'a sequence input',
    bytes: sequenceInput,
    reason: 'model.input_unsupported',
    names: /list.*sequence/,
  },
  {
    title: 'no output but a sequence',
    bytes: withSequenceOutput('sequence only'),
    reason: 'model.no_tensor_output',
    names: /sequence/,
  },
];

describe('registering a model', function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let link: NatsLink;
  let redis: RedisConnection;
  let atFirst: Record<string, unknown>;

  before(async () => {
    cluster = await startCluster({ devices: 'cpu:0' });
    client = await cluster.connect();
    link = await connectNats({ servers: cluster.natsUrl, name: 'test', namespace: cluster.namespace });
    redis = await connectRedis({ url: cluster.redisUrl, namespace: cluster.namespace });
    await client.registerModel({ name: 'resident', bytes: identityModel(), replicas: 1 });
    // The coordinator, the host, the resident's runner, and what they have declared; its trial has ended.
    const declared = ['KV_TROUPE_ROUTES', 'OBJ_TROUPE_ARTIFACTS', 'TROUPE_DEAD', 'TROUPE_EVENTS'];
    await waitUntil('the resident is alone', async () => {
      atFirst = await remains();
      expect(atFirst.streams).to.deep.equal([...declared, 'TROUPE_WORK_resident']);
      expect(atFirst.processes).to.have.length(3);
      return true;
    });
  });
  after(async () => {
    await redis?.close();
    await link?.close();
    await cluster?.stop();
  });
  afterEach(printLogsOnFailure(() => cluster));

  /** What a registration could leave behind. */
  async function remains(): Promise<Record<string, unknown>> {
    const manager = await link.connection.jetstreamManager();
    const artifacts = createArtifactStore(link);
    const streams = await manager.streams.list().next();
    try {
      return {
        registry: await redis.read('hkeys', redis.keys.models),
        routes: (await client.models()).map(({ name }) => name),
        artifacts: (await artifacts.list()).sort(),
        streams: streams.map(({ config }) => config.name).sort(),
        processes: cluster.living().map(({ pid }) => pid),
      };
    } finally {
      await artifacts.close();
    }
  }

  async function expectNothingLeft(): Promise<void> {
    await waitUntil('nothing of it is left', async () => {
      for (const [what, now] of Object.entries(await remains()))
        expect(now, what).to.deep.equal(atFirst[what]);
      return true;
    });
    const { outputs } = await client.infer('resident', Float32Array.of(1, 2, 3, 4));
    expect([...(outputs.output?.data ?? [])]).to.deep.equal([1, 2, 3, 4]);
  }

  function expectError(thrown: unknown, reason: ErrorReason, names: RegExp): void {
    expect(thrown).to.be.instanceOf(TroupeError);
    const error = thrown as TroupeError;
    expect(error.reason, error.message).to.equal(reason);
    expect(error.message).to.match(names);
    expect(error.message).not.to.include('/tmp/'); // where it was tried is nobody's business
  }

  for (const { title, bytes, reason, names } of refusedModels) {
    it(`with ${title} is refused with ${reason}, and nothing of it stays`, async () => {
      const thrown = await client
        .registerModel({ name: 'refused', bytes, replicas: 1 })
        .catch((error: unknown) => error);
      expectError(thrown, reason, names);
      await expectNothingLeft();
    });
  }

  it('whose artifact is not in the store is refused with artifact.missing', async () => {
    const digest = createHash('sha256').update('never uploaded').digest('hex');
    const thrown = await callAdmin(link, 'models', 'register', {
      name: 'refused',
      digest,
      sizeBytes: 14,
    }).catch((error: unknown) => error);
    expectError(thrown, 'artifact.missing', new RegExp(digest));
    await expectNothingLeft();
  });

  it('whose stored bytes have another digest is refused with model.digest, and the bytes go, too', async () => {
    const digest = createHash('sha256').update('something else').digest('hex');
    const bytes = tinyMlp();
    const bucket = createSubjects(cluster.namespace).artifactsBucket;
    const store = await link.connection.jetstream().views.os(bucket);
    await store.putBlob({ name: digest }, bytes);
    const thrown = await callAdmin(
      link,
      'models',
      'register',
      { name: 'refused', digest, sizeBytes: bytes.length },
      { timeoutMs: 30_000 },
    ).catch((error: unknown) => error);
    expectError(thrown, 'model.digest', /SHA-256/);
    await expectNothingLeft();
  });

  it('under a name that cannot be one is refused with model.name before anything is sent', async () => {
    for (const name of ['a.b', 'a*', 'a b', '', '.', '..', '../x', 'a\u0000', 'n'.repeat(10_000)]) {
      const thrown = await client.registerModel({ name, bytes: tinyMlp() }).catch((error: unknown) => error);
      expectError(thrown, 'model.name', /^.{1,400}$/);
      const bypass = await callAdmin(link, 'models', 'register', {
        name,
        digest: '0'.repeat(64),
        sizeBytes: 1,
      }).catch((error: unknown) => error);
      expectError(bypass, 'model.name', /^.{1,400}$/);
    }
    await expectNothingLeft();
  });

  it('with a sequence among its outputs serves its tensor outputs only', async () => {
    await client.registerModel({ name: 'mixed', bytes: withSequenceOutput('both'), replicas: 1 });
    const details = await client.model('mixed');
    expect(details.versions[0]?.signature?.outputs.map(({ name }) => name)).to.deep.equal(['output']);
    const { outputs } = await client.infer('mixed', Float32Array.of(4, 3, 2, 1));
    expect(Object.keys(outputs)).to.deep.equal(['output']);
    expect([...(outputs.output?.data ?? [])]).to.deep.equal([4, 3, 2, 1]);
    const thrown = await client
      .infer('mixed', Float32Array.of(4, 3, 2, 1), { outputs: ['list'] })
      .catch((error: unknown) => error);
    expectError(thrown, 'request.output_unknown', /list/);
    await client.deleteModel('mixed');
  });
});
