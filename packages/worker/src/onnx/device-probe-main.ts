/**
 * Entry of the probe process: tries one or more devices with a tiny generated model, tells what the runtime says, and
 * ends. It may hang or abort inside a driver; its caller (device-probe.ts) holds the clock, and reads on standard
 * error which library the runtime did not find (its exception does not say).
 */
import { asTroupeError, type Device } from '@troupe/shared';
import { mlp } from '@troupe/shared/onnx';
import { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { entryUrl, startThread } from './entry-file.js';
import { sessionOptions } from './execution-provider.js';
import type { ParentWatchSource } from './parent-watch.js';

/** The only message to the process. */
export interface ProbeOrder {
  /** Of the caller: the probe ends when it does. */
  readonly parentPid: number;
  readonly devices: readonly Device[];
}

/** For one device; in the order of the devices. */
export interface ProbeReport {
  readonly device: string;
  /** The runtime's words where it does not work. */
  readonly fault?: string;
}

/** Multiplies matrices, so that the device's own kernels and libraries are used and not merely found. */
const model = mlp({ layers: [4, 8, 2] });

function optionsOf(device: Device): InferenceSession.SessionOptions {
  const options = sessionOptions(device, 1);
  if (device.kind === 'cpu') return options;
  // What the device cannot do would be done by the processor otherwise, and look well.
  return {
    ...options,
    extra: { session: { intra_op: { allow_spinning: '0' }, disable_cpu_ep_fallback: '1' } },
  };
}

async function tryDevice(device: Device): Promise<void> {
  // A provider that this build of the runtime does not know would be dropped silently.
  if (!listSupportedBackends().some(({ name }) => name === device.kind)) {
    throw new Error(`this build of ONNX Runtime has no execution provider '${device.kind}'`);
  }
  if (device.kind === 'webgpu' && device.index > 0) {
    throw new Error("ONNX Runtime takes the system's first WebGPU adapter only: write webgpu:0");
  }
  const session = await InferenceSession.create(model, optionsOf(device));
  try {
    const { output } = await session.run({
      input: new Tensor('float32', new Float32Array(8).fill(1), [2, 4]),
    });
    const values = output?.data;
    if (!(values instanceof Float32Array) || values.length !== 4 || !values.every(Number.isFinite)) {
      throw new Error('a run of a tiny model gave no numbers');
    }
  } finally {
    await session.release();
  }
}

async function probe(devices: readonly Device[]): Promise<void> {
  for (const device of devices) {
    const fault = await tryDevice(device).then(
      () => undefined,
      (thrown: unknown) => asTroupeError(thrown).message,
    );
    const report: ProbeReport = { device: device.name, ...(fault === undefined ? {} : { fault }) };
    await new Promise<void>((resolve) => {
      process.send?.(report, () => resolve());
    });
  }
}

process.once('message', (order: ProbeOrder) => {
  startThread(entryUrl(import.meta.url, 'parent-watch'), {
    workerData: { parentPid: order.parentPid } satisfies ParentWatchSource,
  }).unref();
  probe(order.devices)
    .then(() => process.disconnect())
    .catch(() => undefined); // the caller is gone, and with it the channel
});
