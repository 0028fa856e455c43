import { parseDevice } from '@troupe/shared';
import { expect } from 'chai';
import { sessionOptions } from '../../src/onnx/execution-provider.js';
import { loadError, runError } from '../../src/onnx/runtime-error.js';

describe('execution provider', () => {
  it('names exactly one provider, that of the device', () => {
    const providers = (device: string) => sessionOptions(parseDevice(device), 2).executionProviders;
    expect(providers('cpu:3')).to.deep.equal(['cpu']);
    expect(providers('cuda:1')).to.deep.equal([{ name: 'cuda', deviceId: 1 }]);
    expect(providers('webgpu:0')).to.deep.equal(['webgpu']);
  });

  it('counts threads, and lets none of them spin', () => {
    expect(sessionOptions(parseDevice('cpu:0'), 3)).to.deep.include({
      intraOpNumThreads: 3,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  });
});

describe('runtime errors', () => {
  it('are told apart by what the runtime says', () => {
    const reasons = (texts: readonly string[]) =>
      texts.map((text) => loadError(new Error(text), 'model.load_failed').reason);
    expect(
      reasons([
        'Unsupported data type: 16',
        'External data path validation failed for initializer: W',
        'Load model from /x/y.onnx failed:Protobuf parsing failed.',
        "Could not find an implementation for Mul(6) node with name ''",
        'Load model from /x/y.onnx failed:Fatal error: a:B(-1) is not a registered function/op',
        'something that nobody has seen yet',
      ]),
    ).to.deep.equal([
      'model.datatype_unsupported',
      'model.external_data',
      'model.not_onnx',
      'model.runtime_unsupported',
      'model.runtime_unsupported',
      'model.load_failed',
    ]);
  });

  it('tell no path of this machine', () => {
    const error = loadError(
      new Error('Load model from /var/lib/a b/c.onnx failed:Protobuf parsing failed.'),
      'model.load_failed',
    );
    expect(error.message).to.equal('the runtime does not load the model: Protobuf parsing failed.');
  });

  it("of a run are the model's, in the words of the runtime", () => {
    const error = runError(new Error('Integer division by zero'));
    expect(error.reason).to.equal('model.run_failed');
    expect(error.message).to.include('Integer division by zero');
  });
});
