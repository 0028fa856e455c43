import { parseDevice } from '@troupe/shared';
import { expect } from 'chai';
import { deviceFault, missingLibrary } from '../../src/onnx/device-fault.js';
import { probeDevices } from '../../src/onnx/device-probe.js';

const devices = (...names: string[]) => names.map((name) => parseDevice(name));

describe('device probe', function () {
  this.timeout(60_000);

  it('finds that the processor works, as often as it is asked for', async () => {
    const found = await probeDevices(devices('cpu:0', 'cpu:1'));
    expect(found).to.deep.equal(devices('cpu:0', 'cpu:1').map((device) => ({ device })));
  });

  it('names device, provider, missing library and the step that mends it, in one line, and keeps the order', async () => {
    const [gpu, cpu] = await probeDevices(devices('cuda:99', 'cpu:0'));
    expect(cpu).to.deep.equal({ device: parseDevice('cpu:0') });
    expect(gpu?.fault?.reason).to.equal('device.unusable');
    const text = gpu?.fault?.message ?? '';
    expect(text).to.match(/^device cuda:99 cannot be used by the CUDA execution provider of ONNX Runtime/);
    expect(text).to.include('CUDA 12 and cuDNN 9 come from the system').and.not.include('\n');
  });

  it('knows one WebGPU adapter only, and lets the runtime judge that one by its own words', async () => {
    const [first, second] = await probeDevices(devices('webgpu:0', 'webgpu:1'));
    expect(first?.fault?.message ?? '').to.not.include('unrecognized option');
    expect(second?.fault?.message).to.include('write webgpu:0');
  });

  it('a process that hangs is given up, one that dies is a fault, and neither is a device that works', async () => {
    const hung = await probeDevices(devices('cpu:0'), { limitMs: 1 });
    expect(hung[0]?.fault?.message).to.include('the probe did not end within 1 ms');
    const gone = await probeDevices(devices('cpu:0'), { entry: new URL('file:///nowhere/probe.js') });
    expect(gone[0]?.fault?.message).to.include('the probe ended with exit code 1');
  });

  it('ends at once when the host is stopped', async () => {
    const stop = new AbortController();
    const probes = probeDevices(devices('cpu:0', 'cuda:0'), { signal: stop.signal });
    stop.abort();
    const thrown = await probes.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).to.have.property('reason', 'client.closed');
  });
});

describe('device fault', () => {
  const cuda = parseDevice('cuda:1');

  it('takes the missing library from what the runtime printed', () => {
    const log = (path: string) =>
      `\u001b[1;31m[E:onnxruntime] Failed to load library /x/y.so with error: ${path}: cannot open shared object file: No such file or directory`;
    expect(missingLibrary(log('/a b/libonnxruntime_providers_shared.so'))).to.equal(
      'libonnxruntime_providers_shared.so',
    );
    expect(missingLibrary(log('libcudnn.so.9'))).to.equal('libcudnn.so.9');
    expect(missingLibrary('no CUDA-capable device is detected')).to.equal(undefined);
  });

  it('says what to fetch for the provider, what to install for CUDA, and where to look otherwise', () => {
    const remedy = (library: string) =>
      deviceFault(cuda, 'Failed to load shared library', `${library}: cannot open shared object file`)
        .message;
    expect(remedy('libonnxruntime_providers_shared.so'))
      .to.include('library libonnxruntime_providers_shared.so is missing')
      .and.include('npm start -- --gpu')
      .and.include('ONNXRUNTIME_NODE_INSTALL=true');
    expect(remedy('libcudnn.so.9'))
      .to.include('library libcudnn.so.9 is missing')
      .and.include('CUDA 12 and cuDNN 9')
      .and.not.include('ONNXRUNTIME_NODE_INSTALL');
    expect(deviceFault(cuda, 'invalid device ordinal', '').message).to.include('does nvidia-smi list');
    expect(deviceFault(parseDevice('webgpu:0'), 'No supported adapters', '').message).to.include('Vulkan');
  });
});
