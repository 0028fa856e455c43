/** The SDK on a real NATS server: answers, refusals, routes. */
import { type Signature, type Tensor, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { connect, type TroupeClient, tensor } from '../../src/index.js';
import { expectReject } from '../expect-error.js';
import { type StandInCluster, startStandIn } from '../stand-in-cluster.js';

const rows: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
};
const numericNames = [
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BOOL',
  'BYTES',
] as const;
const everything: Signature = {
  inputs: numericNames.map((datatype) => ({ name: datatype, datatype, shape: [-1] })),
  outputs: numericNames.map((datatype) => ({ name: datatype, datatype, shape: [-1] })),
};

describe('infer() through a real NATS server', () => {
  let cluster: StandInCluster;
  let client: TroupeClient;

  before(async () => {
    cluster = await startStandIn({ maxPayload: 1024 * 1024 });
    await cluster.serve('echo', 1, rows);
    await cluster.serve('all', 3, everything);
    client = await connect({ servers: cluster.url });
  });
  after(async () => {
    await client?.close();
    await cluster?.stop();
  });

  it('an answer has model, version, id and typed arrays that belong to the caller', async () => {
    const result = await client.infer('echo', [[5.5, 3.5, 1.5, 0.25]], { id: 'mine' });
    expect(result).to.include({ model: 'echo', version: 1, degraded: false, id: 'mine' });
    const output = result.outputs.x;
    expect(output).to.include({ datatype: 'FP32' });
    expect(output?.shape).to.deep.equal([1, 4]);
    expect(output?.data).to.deep.equal(Float32Array.of(5.5, 3.5, 1.5, 0.25));
    const memory = output?.datatype === 'FP32' ? output.data.buffer.byteLength : 0;
    expect(memory, 'other messages share its memory').to.equal(16);
    expect(Object.getPrototypeOf(result.outputs)).to.equal(null);
  });

  it('every datatype comes back as it was sent, in the typed array of its kind', async () => {
    const inputs = {
      UINT8: Uint8Array.of(0, 255),
      UINT16: Uint16Array.of(0, 65_535),
      UINT32: Uint32Array.of(0, 4_294_967_295),
      UINT64: BigUint64Array.of(0n, 18_446_744_073_709_551_615n),
      INT8: Int8Array.of(-128, 127),
      INT16: Int16Array.of(-32_768, 32_767),
      INT32: Int32Array.of(-2_147_483_648, 2_147_483_647),
      INT64: BigInt64Array.of(-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n),
      FP16: Uint16Array.of(0x3c00, 0x7e00),
      FP32: Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY),
      FP64: Float64Array.of(0.1, -0),
      BOOL: Uint8Array.of(0, 1),
      BYTES: ['', 'ä€😀\u0000'],
    };
    const { outputs, version } = await client.infer('all', inputs);
    expect(version).to.equal(3);
    for (const [name, wanted] of Object.entries(inputs)) {
      expect(outputs[name]?.datatype).to.equal(name);
      expect(outputs[name]?.data, name).to.deep.equal(wanted);
    }
  });

  it('2,000 answers at 64 in flight are each the answer to their own request', async () => {
    let next = 0;
    const ask = async () => {
      for (let number = next++; number < 2_000; number = next++) {
        const { outputs, id } = await client.infer('echo', Float32Array.of(number, -number, 0, 1), {
          id: `r${number}`,
        });
        expect(id).to.equal(`r${number}`);
        expect(outputs.x?.data).to.deep.equal(Float32Array.of(number, -number, 0, 1));
      }
    };
    await Promise.all(Array.from({ length: 64 }, ask));
    expect(client.openRequests).to.equal(0);
  });

  it('what contradicts the signature is refused before anything is sent', async () => {
    const runner = await cluster.serve('picky', 1, rows);
    await waitUntil('the route is here', async () => {
      await client.infer('picky', new Float32Array(4));
      return true;
    });
    const before = runner.runs.length;
    await expectReject(
      client.infer('picky', [5.1, 3.5, 1.4, 0.2]),
      'request.tensor_shape',
      '[4]',
      '[-1,4]',
      '[1,4]',
    );
    await expectReject(client.infer('picky', { y: [[1, 2, 3, 4]] }), 'request.input_unknown', '"y"', '"x"');
    await expectReject(client.infer('picky', new Float64Array(4)), 'request.tensor_datatype', 'Float32Array');
    await expectReject(
      client.infer('picky', new Float32Array(4), { outputs: ['z'] }),
      'request.output_unknown',
      '"z"',
      '"x"',
    );
    await expectReject(
      client.infer('picky', new Float32Array(4), { deadlineMs: 0 }),
      'request.parameter',
      'deadlineMs',
    );
    await expectReject(
      client.infer('picky', new Float32Array(4), { signal: AbortSignal.abort() }),
      'request.cancelled',
    );
    expect(runner.runs.length).to.equal(before);
    expect(client.openRequests).to.equal(0);
  });

  it('an unknown model is refused, naming the nearest known one', async () => {
    await expectReject(
      client.infer('ecko', [[1, 2, 3, 4]]),
      'model.unknown',
      '"ecko"',
      'did you mean "echo"?',
    );
    await expectReject(client.infer('no.such', 1), 'model.name', 'no.such');
    await expectReject(client.infer('x'.repeat(10_000), 1), 'model.name');
    await expectReject(client.infer('echo', [[1, 2, 3, 4]], { version: 9 }), 'model.version_unknown', '9');
    await expectReject(
      client.infer('echo', [[1, 2, 3, 4]], { label: 'canary' }),
      'model.label_unknown',
      'canary',
      'stable',
    );
  });

  it('a model that was registered a moment ago is found', async () => {
    for (let round = 0; round < 5; round += 1) {
      await cluster.serve(`fresh-${round}`, 1, rows);
      const { model } = await client.infer(`fresh-${round}`, new Float32Array(4));
      expect(model).to.equal(`fresh-${round}`);
    }
  });

  it('version, label and the default each go to the version that they name', async () => {
    await cluster.serve('two', 1, rows);
    await cluster.serve('two', 2, rows);
    await cluster.route('two', { 1: { signature: rows }, 2: { signature: rows } }, { stable: 1, canary: 2 });
    const version = async (options: object) =>
      (await client.infer('two', new Float32Array(4), options)).version;
    await waitUntil('the route is here', async () => (await version({ label: 'canary' })) === 2);
    expect(await version({})).to.equal(1);
    expect(await version({ version: 2 })).to.equal(2);
    expect(await version({ label: 'stable' })).to.equal(1);
  });

  it('a pinned version says so to the runner, and a sticky key travels along', async () => {
    const runner = await cluster.serve('pins', 1, rows);
    await client.infer('pins', new Float32Array(4), { version: 1, sticky: 'Zoë' });
    await client.infer('pins', new Float32Array(4));
    expect(runner.messages.map((message) => message.pinned)).to.deep.equal([true, false]);
  });

  it('only the outputs that were asked for are asked of the runner', async () => {
    const pair: Signature = {
      inputs: rows.inputs,
      outputs: [...rows.outputs, { name: 'y', datatype: 'FP32', shape: [-1, 4] }],
    };
    await cluster.serve('pair', 1, pair, (request) =>
      (request.outputs ?? []).map(({ name }) => ({ ...(request.inputs[0] as Tensor), name })),
    );
    const { outputs } = await client.infer('pair', new Float32Array(4), { outputs: ['y'] });
    expect(Object.keys(outputs)).to.deep.equal(['y']);
  });

  it('an error of the runner comes as it is', async () => {
    await cluster.serve(
      'sour',
      1,
      rows,
      () => new TroupeError('model.run_failed', 'the model fails on lemons'),
    );
    const error = await expectReject(client.infer('sour', new Float32Array(4)), 'model.run_failed', 'lemons');
    expect(error.class).to.equal('invalid_request');
  });

  it('an answer that nobody can read is an error, not a hang', async () => {
    await cluster.serve('liar', 1, rows, () => [
      { name: 'x', datatype: 'FP32', shape: [3], data: new Uint8Array(4) },
    ]);
    await expectReject(client.infer('liar', new Float32Array(4)), 'answer.malformed');
  });

  it('a payload over the limit of the server is refused with both sizes', async () => {
    const error = await expectReject(
      client.infer('echo', tensor(new Float32Array(400_000), [100_000, 4])),
      'request.too_large',
    );
    expect(error.message)
      .to.match(/1600\d{3}/)
      .and.to.include('1048576');
    expect(client.openRequests).to.equal(0);
  });

  it('a model without a worker is refused with the reason, one that loads is waited for', async () => {
    await cluster.route('homeless', {
      1: { signature: rows, state: 'unplaced', reason: 'all 2 slots are taken' },
    });
    await expectReject(
      client.infer('homeless', new Float32Array(4)),
      'placement.no_slot',
      'all 2 slots are taken',
    );
    await cluster.serve('slow', 1, rows);
    await cluster.route('slow', { 1: { signature: rows, state: 'loading' } });
    expect((await client.infer('slow', new Float32Array(4))).version).to.equal(1);
  });
});
