/** The session on its thread: overlap, order, limits, release, loss. */
import { type Signature, type Tensor, tensorFromValues, viewAs } from '@troupe/shared';
import { identityModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { failsOn, hugeOutput, slowOn } from '../../../../test/models/misbehaving-models.js';
import { type ModelSession, type RunOutcome, startSession } from '../../src/onnx/session-client.js';
import { ModelFolder } from './model-folder.js';

const noLimit = { limitBytes: Number.POSITIVE_INFINITY, json: false };
const signatureOf = (width: number): Signature => ({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, width] }],
});
const row = (...values: number[]): Tensor => tensorFromValues('input', 'FP32', [1, 4], values);

function valuesOf(outcome: RunOutcome): number[] {
  expect(outcome.kind).to.equal('ran');
  return outcome.kind === 'ran' ? [...viewAs('FP32', outcome.outputs[0]?.data as Uint8Array)] : [];
}

describe('session thread', function () {
  this.timeout(60_000);
  let folder: ModelFolder;
  const sessions: ModelSession[] = [];
  before(() => {
    folder = new ModelFolder();
  });
  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((session) => session.release()));
  });
  after(() => folder.remove());

  function open(bytes: Uint8Array, signature = signatureOf(4)): ModelSession {
    const session = startSession({
      modelPath: folder.write(bytes),
      device: 'cpu:0',
      intraOpThreads: 1,
      signature,
    });
    sessions.push(session);
    return session;
  }

  it('answers runs in their order, also those that were sent before it had loaded', async () => {
    const session = open(slowOn());
    const order: number[] = [];
    const runs = [40_000, 0, 10].map(async (trips, index) => {
      const outcome = await session.run([row(trips, index, 0, 0)], ['output'], noLimit);
      order.push(index);
      return valuesOf(outcome)[1];
    });
    expect(await Promise.all(runs)).to.deep.equal([0, 1, 2]);
    expect(order).to.deep.equal([0, 1, 2]);
    expect((await session.loaded).signature).to.deep.equal(signatureOf(4));
  });

  it('keeps this thread free while it runs', async () => {
    const session = open(slowOn());
    await session.loaded;
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
    }, 1);
    await session.run([row(100_000, 0, 0, 0)], ['output'], noLimit);
    clearInterval(ticking);
    expect(turns).to.be.above(3);
  });

  it('goes on after a run that failed', async () => {
    const session = open(failsOn(), signatureOf(2));
    const failed = await session.run([row(77, 0, 0, 0)], ['output'], noLimit);
    expect(failed.kind === 'failed' && failed.error.reason).to.equal('model.run_failed');
    expect(valuesOf(await session.run([row(2, 0, 0, 0)], ['output'], noLimit))).to.deep.equal([2, 20]);
  });

  it('sends back the size of outputs above the limit, and not the outputs', async () => {
    const session = open(hugeOutput(), {
      inputs: [{ name: 'count', datatype: 'INT64', shape: [1] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1] }],
    });
    const count = () => tensorFromValues('count', 'INT64', [1], [1_000n]);
    const limit = { limitBytes: 3_999, json: false };
    expect(await session.run([count()], ['output'], limit)).to.deep.equal({
      kind: 'too_large',
      bytes: 4_000,
    });
    const json = { limitBytes: 3_999, json: true }; // a number may be two characters
    expect((await session.run([count()], ['output'], json)).kind).to.equal('ran');
  });

  it('says why a model did not load, and its thread ends', async () => {
    const session = open(new Uint8Array([9, 9, 9]));
    const reason = await session.loaded.then(
      () => 'loaded',
      (thrown: { reason: string }) => thrown.reason,
    );
    expect(reason).to.equal('model.not_onnx');
    await session.release();
  });

  it('fails a run after release, and releases once', async () => {
    const session = open(identityModel());
    await session.loaded;
    await Promise.all([session.release(), session.release()]);
    const outcome = await session.run([row(1, 2, 3, 4)], ['output'], noLimit);
    expect(outcome.kind === 'failed' && outcome.error.reason).to.equal('runner.lost');
  });

  it('finishes what was sent before it is released', async () => {
    const session = open(slowOn());
    await session.loaded;
    const run = session.run([row(50_000, 1, 2, 3)], ['output'], noLimit);
    await session.release();
    expect(valuesOf(await run)).to.deep.equal([50_000, 1, 2, 3]);
  });
});
