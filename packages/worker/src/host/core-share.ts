/** How many of the host's cores a runner on a device may use. Pure but for the number of cores. */
import { availableParallelism } from 'node:os';
import type { Device } from '@troupe/shared';

/** `cpu:N` is one share of the host's cores; on a GPU one thread feeds the device. */
export function countIntraOpThreads(device: string, devices: readonly Device[]): number {
  const shares = devices.filter(({ kind }) => kind === 'cpu').length;
  if (!device.startsWith('cpu:') || shares === 0) return 1;
  return Math.max(1, Math.floor(availableParallelism() / shares));
}
