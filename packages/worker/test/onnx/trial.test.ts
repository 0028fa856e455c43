import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type TrialVerdict, TroupeError } from '@troupe/shared';
import { encodeModel, identityModel, int64Tensor, mlp, tensorValue } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { builtEntry } from '../../../../test/harness/built.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import {
  failsOn,
  hugeOutput,
  int4Output,
  recurrentLike,
} from '../../../../test/models/misbehaving-models.js';
import { runTrial, type TrialOptions } from '../../src/onnx/trial.js';
import { ModelFolder } from './model-folder.js';
import { caseFile, readCollection } from './shared-collection.js';

type Changes = Partial<TrialOptions['trial']> & Partial<Omit<TrialOptions, 'trial' | 'modelPath'>>;

function tryFile(modelPath: string, changes: Changes = {}): Promise<TrialVerdict> {
  const { golden = [], batching = {}, ...rest } = changes;
  return runTrial({
    modelPath,
    device: 'cpu:0',
    intraOpThreads: 1,
    trial: { digest: '', sizeBytes: 0, golden, batching, limits: {} },
    ...rest,
  });
}

async function refusalOf(verdict: Promise<TrialVerdict>): Promise<TroupeError> {
  try {
    const { batchable } = await verdict;
    throw new Error(`it was accepted, batchable ${batchable}`);
  } catch (thrown) {
    if (thrown instanceof TroupeError) return thrown;
    throw thrown;
  }
}

/** Doubles its number once for each bit of a value far beyond what a loop ends with: made-up data cannot reach it. */
function endless(): Uint8Array {
  const condition = { name: 'on', type: { kind: 'tensor', elementType: 'BOOL', dims: [] } } as const;
  return encodeModel({
    graph: {
      inputs: [tensorValue('input', 'FLOAT', ['N', 4])],
      outputs: [tensorValue('output', 'FLOAT', ['N', 4])],
      initializers: [int64Tensor('trips', [], [2n ** 60n])],
      nodes: [
        {
          opType: 'Loop',
          inputs: ['trips', '', 'input'],
          outputs: ['output'],
          attributes: {
            body: {
              type: 'graph',
              value: {
                name: 'body',
                inputs: [
                  tensorValue('trip', 'INT64', []),
                  tensorValue('was', 'BOOL', []),
                  tensorValue('state', 'FLOAT', ['N', 4]),
                ],
                outputs: [condition, tensorValue('next', 'FLOAT', ['N', 4])],
                nodes: [
                  { opType: 'Identity', inputs: ['was'], outputs: ['on'] },
                  { opType: 'Identity', inputs: ['state'], outputs: ['next'] },
                ],
              },
            },
          },
        },
      ],
    },
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // no such process
  }
}

describe('trial of a model', function () {
  this.timeout(60_000);
  let folder: ModelFolder;
  before(() => {
    folder = new ModelFolder();
  });
  after(() => folder.remove());

  const tryModel = (bytes: Uint8Array, changes?: Changes) => tryFile(folder.write(bytes), changes);

  it('accepts a model whose rows are independent, with its signature, 32 rows and its memory', async () => {
    const verdict = await tryModel(mlp({ layers: [4, 8, 3] }));
    expect(verdict).to.deep.include({
      batchable: true,
      batching: { maxBatchSize: 32, maxDelayMs: 0 },
      signature: {
        inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
        outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 3] }],
      },
    });
    if (process.platform === 'linux') expect(verdict.memoryBytes).to.be.above(1_000_000);
  });

  it('keeps the batching that was asked for', async () => {
    const batching = { maxBatchSize: 8, maxDelayMs: 3 };
    expect((await tryModel(identityModel(), { batching })).batching).to.deep.equal(batching);
    const off = await tryModel(identityModel(), { batching: { maxBatchSize: 1 } });
    expect(off.batching.maxBatchSize).to.equal(1);
  });

  for (const mixing of ['running-sum', 'centred'] as const) {
    it(`does not merge requests for a model that mixes rows (${mixing})`, async () => {
      const verdict = await tryModel(recurrentLike(mixing));
      expect(verdict.batchable).to.equal(false);
      expect(verdict.batching.maxBatchSize).to.equal(1);
      expect(verdict.batchableReason).to.match(/different answers: .*off by/);
    });
  }

  it('refuses batching that was asked for on a model that mixes rows, with the largest difference', async () => {
    const refusal = await refusalOf(tryModel(recurrentLike(), { batching: { maxBatchSize: 8 } }));
    expect(refusal.reason).to.equal('model.not_batchable');
    expect(refusal.message).to.match(/maxBatchSize 8 .*differs most at .*off by/);
  });

  it('does not merge requests for a model with a fixed first dimension, a scalar, or an unknown rank', async () => {
    for (const dims of [[1, 4], [], undefined]) {
      const verdict = await tryModel(
        encodeModel({
          graph: {
            inputs: [tensorValue('x', 'FLOAT', dims)],
            outputs: [tensorValue('y', 'FLOAT', dims)],
            nodes: [{ opType: 'Identity', inputs: ['x'], outputs: ['y'] }],
          },
        }),
      );
      expect(verdict.batchable, String(dims)).to.equal(false);
      expect(verdict.signature.inputs[0]?.shape, String(dims)).to.deep.equal(dims);
    }
  });

  it('does not refuse a model for refusing made-up data', async () => {
    const reshape = encodeModel({
      graph: {
        inputs: [tensorValue('x', 'FLOAT', ['N', 4]), tensorValue('shape', 'INT64', [2])],
        outputs: [tensorValue('y', 'FLOAT', ['A', 'B'])],
        nodes: [{ opType: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }],
      },
    });
    const verdict = await tryModel(reshape);
    expect(verdict.batchable).to.equal(false);
    expect((await tryModel(failsOn())).batchable).to.equal(true);
    expect((await tryModel(hugeOutput())).batchable).to.equal(false);
  });

  it('gives up a run that does not end, and loads the model without one', async () => {
    const verdict = await tryModel(endless(), { runLimitMs: 500 });
    expect(verdict).to.include({ batchable: false, batchableReason: 'trial run took longer than 500 ms' });
  });

  it('refuses a model that is not done within the limit for the whole trial', async () => {
    const refusal = await refusalOf(tryModel(endless(), { limitMs: 1 }));
    expect(refusal.reason).to.equal('model.trial_failed');
    expect(refusal.message).to.include('1 ms');
  });

  it('leaves no process behind when its caller dies in the middle of a run that does not end', async () => {
    const caller = spawn(
      process.execPath,
      [
        ...['--import', 'tsx', '--conditions=@troupe/source'],
        fileURLToPath(new URL('./try-and-hang.ts', import.meta.url)),
        folder.write(endless()),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [chunk] = (await once(caller.stdout, 'data')) as [Buffer];
    const pid = Number(chunk.toString());
    expect(isAlive(pid)).to.equal(true);
    caller.kill('SIGKILL');
    await waitUntil('the trial process has ended', () => !isAlive(pid));
  });

  it('refuses a model that takes more memory than it may', async () => {
    const refusal = await refusalOf(tryModel(endless(), { memoryLimitBytes: 1_000_000 }));
    expect(refusal.reason).to.equal('model.trial_failed');
    expect(refusal.message).to.include('1000000 bytes of memory');
  });

  it('refuses a model with INT4 outputs, declared or inferred, without losing the caller', async () => {
    for (const declaration of ['declared', 'undeclared'] as const) {
      const refusal = await refusalOf(tryModel(int4Output(declaration)));
      expect(refusal.reason, declaration).to.be.oneOf(['model.datatype_unsupported', 'model.trial_failed']);
    }
  });

  it('runs the golden cases and names the case and the difference of one that comes out wrong', async () => {
    const golden = (last: number, name = 'g1') => ({
      name,
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, last] }],
    });
    expect((await tryModel(identityModel(), { golden: [golden(4)] })).batchable).to.equal(true);
    const refusal = await refusalOf(tryModel(identityModel(), { golden: [golden(4), golden(9, 'g2')] }));
    expect(refusal.reason).to.equal('model.golden');
    expect(refusal.message).to.include('g2').and.include('off by 5');
    const misfit = {
      ...golden(4),
      inputs: [{ ...golden(4).inputs[0], name: 'z', datatype: 'FP32', shape: [4], data: [1, 2, 3, 4] }],
    };
    expect((await refusalOf(tryModel(identityModel(), { golden: [misfit] }))).reason).to.equal(
      'model.golden',
    );
  });

  it('refuses a file that is not there, not ONNX, or unknown to the device', async () => {
    expect((await refusalOf(tryFile('/nonexistent.onnx'))).reason).to.equal('artifact.missing');
    expect((await refusalOf(tryModel(new TextEncoder().encode('hello')))).reason).to.equal('model.not_onnx');
    const refusal = await refusalOf(tryModel(identityModel(), { device: 'tpu:0' }));
    expect(refusal.reason).to.equal('placement.no_device');
  });

  it('never tries a model on another device than it was told: no CUDA here is a refusal, not a CPU run', async function () {
    const refusal = await tryModel(identityModel(), { device: 'cuda:0' }).then(
      () => undefined,
      (thrown: TroupeError) => thrown,
    );
    if (refusal === undefined) this.skip(); // this machine has CUDA
    expect(refusal?.reason).to.be.oneOf(['model.trial_failed', 'model.runtime_unsupported']);
  });
});

describe('trial of the shared model collection', function () {
  this.timeout(600_000);
  // Hundreds of processes: each is the built one, and started without what runs sources.
  const built = { entry: builtEntry(new URL('../../src/onnx/trial-main.ts', import.meta.url)) };
  const { execArgv } = process;
  before(() => {
    process.execArgv = [];
  });
  after(() => {
    process.execArgv = execArgv;
  });
  const expectedReasons: Readonly<Record<string, readonly string[]>> = {
    'process-abort': ['model.datatype_unsupported'],
    'load-kernel-init-exception': ['model.runtime_unsupported'],
    'load-opset-too-new': ['model.runtime_unsupported'],
    'load-unregistered-op': ['model.runtime_unsupported'],
    'load-no-kernel': ['model.runtime_unsupported'],
    'load-io-dtype-unsupported': ['model.datatype_unsupported'],
    'int4-tensor-unsupported': ['model.datatype_unsupported'],
    'non-tensor-io': ['model.input_unsupported', 'model.no_tensor_output'],
    'load-external-data-missing': ['model.external_data'],
    'load-corrupt': ['model.not_onnx'],
  };
  /** Found by the trial to have rows that depend on each other, or not to: the rest have no variable dimension. */
  const batchable = [
    'lgbm-wine-classifier',
    'lgbm-wine-regressor',
    'xgboost-wine-classifier',
    'triton-simple',
    'triton-simple-string',
    'triton-simple-int8',
    'go-dynamic-axes',
    'super-resolution-10',
  ];

  /** Two at a time: the trial is a process of its own. */
  async function forEach<T>(items: readonly T[], visit: (item: T) => Promise<void>): Promise<void> {
    const left = [...items];
    const work = async () => {
      for (let item = left.pop(); item !== undefined; item = left.pop()) await visit(item);
    };
    await Promise.all([work(), work()]);
  }

  it('refuses each negative model with a typed reason, but for the one that only fails at its run', async function () {
    const collection = readCollection('no negative model was tried');
    if (collection === undefined) return this.skip();
    expect(collection.negative).to.have.length(32);
    await forEach(collection.negative, async (entry) => {
      const trial = tryFile(caseFile(entry, 'model.onnx'), built);
      if (entry.class === 'run-error') {
        expect((await trial).batchableReason, entry.path).to.match(/^trial run failed: /);
        return;
      }
      const refusal = await refusalOf(trial);
      expect(refusal.reason, `${entry.path}: ${refusal.message}`).to.be.oneOf([
        ...(expectedReasons[entry.class ?? ''] ?? []),
      ]);
    });
  });

  it('accepts real models of every kind and merges exactly those whose rows are independent', async function () {
    const collection = readCollection('no real model was tried');
    if (collection === undefined) return this.skip();
    const real = collection.cases.filter(({ path }) => path.startsWith('real/'));
    // Of the hundreds of one-operator models, every tenth: all of them load by the same way.
    const some = collection.cases.filter(({ path }, index) => !path.startsWith('real/') && index % 10 === 0);
    await forEach([...real, ...collection.hazards, ...some], async (entry) => {
      const verdict = await tryFile(caseFile(entry, 'model.onnx'), built);
      const name = entry.path.split('/').at(-1) ?? '';
      if (entry.path.startsWith('real/')) {
        expect(verdict.batchable, `${entry.path}: ${verdict.batchableReason}`).to.equal(
          batchable.includes(name),
        );
      }
    });
  });
});
