/** Devices of a host: what it takes at start, and what it reports of GPUs; with a scripted nvidia-smi on the PATH. */
import { readFileSync } from 'node:fs';
import { createLog, type Device, parseDevice, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { DeviceMeter } from '../../src/host/device-meter.js';
import { findDevices, type WantedDevices } from '../../src/host/host-devices.js';
import { numberAsCuda, parseGpuProcesses, parseGpuReadings, readGpus } from '../../src/host/nvidia-smi.js';
import type { DeviceProbe } from '../../src/onnx/device-probe.js';
import { ScriptedNvidiaSmi } from './scripted-nvidia-smi.js';

const mebibyte = 1024 ** 2;
const devices = (...names: string[]): Device[] => names.map((name) => parseDevice(name));

describe('devices of a host', function () {
  this.timeout(20_000);
  const { PATH: pathBefore, CUDA_VISIBLE_DEVICES: visibleBefore } = process.env;
  let tool: ScriptedNvidiaSmi;
  let told: string[];

  beforeEach(() => {
    tool = new ScriptedNvidiaSmi();
    process.env.PATH = tool.path;
    delete process.env.CUDA_VISIBLE_DEVICES;
    told = [];
  });
  afterEach(() => {
    process.env.PATH = pathBefore;
    if (visibleBefore !== undefined) process.env.CUDA_VISIBLE_DEVICES = visibleBefore;
    tool.remove();
  });

  /** On a machine where only these work. */
  const find = async (wanted: WantedDevices, ...working: string[]): Promise<string[]> => {
    const found = await findDevices(wanted, {
      log: createLog('test', 'info', { write: (line) => void told.push(line) }),
      signal: new AbortController().signal,
      probe: (asked) =>
        Promise.resolve(
          asked.map((device): DeviceProbe => {
            if (working.includes(device.name)) return { device };
            return { device, fault: new TroupeError('device.unusable', `device ${device.name} is broken`) };
          }),
        ),
    });
    return found.map(({ name }) => name);
  };
  const refusal = async (wanted: WantedDevices, ...working: string[]): Promise<unknown> =>
    find(wanted, ...working).then(
      (found) => `it took ${found.join(', ')}`,
      (thrown: unknown) => thrown,
    );

  it('what was asked for and works is taken, in its order', async () => {
    expect(await find(devices('cuda:1', 'cpu:0'), 'cpu:0', 'cuda:1')).to.deep.equal(['cuda:1', 'cpu:0']);
  });

  it('what was asked for and does not work is an error, though the processor would do', async () => {
    expect(await refusal(devices('cpu:0', 'cuda:0'), 'cpu:0'))
      .to.include({ reason: 'device.unusable' })
      .and.to.have.property('message', 'device cuda:0 is broken');
    expect(await refusal(devices('cuda:0', 'cpu:0', 'cuda:1'), 'cpu:0'))
      .to.have.property('message')
      .that.includes('device cuda:0 is broken')
      .and.includes('cuda:1');
  });

  it('`auto` takes every listed GPU that works, and says which fell out and why', async () => {
    tool.says('0, 1000, 1, 0', '1, 1000, 1, 0', '2, 1000, 1, 0');
    expect(await find('auto', 'cuda:0', 'cuda:2', 'cpu:0')).to.deep.equal(['cuda:0', 'cuda:2']);
    expect(told.join('')).to.include('left out: device cuda:1 is broken');
  });

  it('`auto` takes the processor where no GPU is listed, none works, or nvidia-smi fails', async () => {
    tool.says();
    expect(await find('auto', 'cpu:0')).to.deep.equal(['cpu:0']);
    tool.says('0, 1000, 1, 0');
    expect(await find('auto', 'cpu:0')).to.deep.equal(['cpu:0']);
    expect(told.join('')).to.include('device cuda:0 is broken');
    tool.fails('NVIDIA-SMI has failed because it could not communicate with the driver.');
    expect(await find('auto', 'cpu:0')).to.deep.equal(['cpu:0']);
    expect(told.join('')).to.include('could not communicate with the driver');
  });

  it('a host reports memory and utilisation of its own GPUs, and nothing made up', async () => {
    tool.says('1, 143771, 512, 7', '0, 143771, 1024.5, 100', '2, [N/A], [N/A], [N/A]');
    const meter = new DeviceMeter(devices('cpu:0', 'cuda:0', 'cuda:2', 'cuda:3'));
    const bare = devices('cpu:0', 'cuda:0', 'cuda:2', 'cuda:3').map(({ name, kind }) => ({ name, kind }));
    expect(meter.reports(), 'before the first measurement').to.deep.equal(bare);
    await meter.measure();
    expect(meter.reports()).to.deep.equal([
      bare[0],
      {
        name: 'cuda:0',
        kind: 'cuda',
        memoryTotalBytes: 143_771 * mebibyte,
        memoryUsedBytes: 1024.5 * mebibyte,
        utilisationRatio: 1,
      },
      bare[2],
      bare[3],
    ]);
    expect(readFileSync(tool.asked(), 'utf8').trim()).to.equal(
      '--query-gpu=index,memory.total,memory.used,utilization.gpu --format=csv,noheader,nounits',
    );
    tool.fails('no devices were found');
    await meter.measure();
    expect(meter.reports(), 'an old number would look like a new one').to.deep.equal(bare);
  });

  it('a host without CUDA devices asks nothing', async () => {
    tool.says('0, 1, 1, 1');
    await new DeviceMeter(devices('cpu:0', 'webgpu:0')).measure();
    expect(() => readFileSync(tool.asked())).to.throw('ENOENT');
  });

  it('nvidia-smi that hangs, fails or is absent is no answer, in words', async () => {
    tool.hangs();
    expect(await readGpus(50)).to.equal('nvidia-smi did not answer within 50 ms');
    tool.fails('NVIDIA-SMI has failed');
    expect(await readGpus(5_000)).to.equal('nvidia-smi failed: NVIDIA-SMI has failed');
    process.env.PATH = '/nowhere';
    expect(await readGpus(5_000)).to.equal('nvidia-smi is not on the PATH');
  });

  it('GPUs are numbered as CUDA numbers those that it shows, and nvidia-smi’s numbers go with the right one', () => {
    const readings = parseGpuReadings('0, 10, 1, 0\n1, 20, 2, 0\n2, 30, 3, 0');
    const shown = (visible: string | undefined) =>
      numberAsCuda(readings, visible).map((gpu) => [gpu.index, (gpu.memoryTotalBytes ?? 0) / mebibyte]);
    expect(shown(undefined)).to.deep.equal([
      [0, 10],
      [1, 20],
      [2, 30],
    ]);
    expect(shown('2,0')).to.deep.equal([
      [0, 30],
      [1, 10],
    ]);
    expect(shown('1,-1,2')).to.deep.equal([[0, 20]]);
    expect(shown('GPU-8932f937, 1')).to.deep.equal([
      [0, 0],
      [1, 20],
    ]);
    expect(shown('')).to.deep.equal([]);
  });

  it('what is no line of nvidia-smi is left out', () => {
    expect(parseGpuProcesses('')).to.deep.equal(new Map());
    expect(parseGpuProcesses('4711, 512\n4712, [N/A]\n4711, 8\n')).to.deep.equal(
      new Map([[4711, 520 * 1024 ** 2]]),
    );
    expect(parseGpuReadings('')).to.deep.equal([]);
    expect(parseGpuReadings('No devices were found\n3, 10, -1, nan\n1.5, 1, 1, 1\n')).to.deep.equal([
      { index: 3, memoryTotalBytes: 10 * mebibyte },
    ]);
  });
});
