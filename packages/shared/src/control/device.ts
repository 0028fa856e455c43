/** Devices by name: `cpu:N` is one share of the host's cores, `cuda:N` and `webgpu:N` one GPU. */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';

export const DeviceKind = { Cpu: 'cpu', Cuda: 'cuda', WebGpu: 'webgpu' } as const;
export type DeviceKind = (typeof DeviceKind)[keyof typeof DeviceKind];

/** A parsed device name. */
export interface Device {
  /** Canonical name, `cpu:0`. */
  readonly name: string;
  readonly kind: DeviceKind;
  readonly index: number;
}

const pattern = /^(cpu|cuda|webgpu):(0|[1-9][0-9]{0,2})$/;

/** Parses one device name. Throws `placement.no_device`. */
export function parseDevice(value: string): Device {
  const match = pattern.exec(value);
  if (match === null) {
    throw new TroupeError(
      'placement.no_device',
      `device ${quoteName(value)} is not known: write cpu:N, cuda:N or webgpu:N, for example cpu:0`,
    );
  }
  return { name: value, kind: match[1] as DeviceKind, index: Number(match[2]) };
}
