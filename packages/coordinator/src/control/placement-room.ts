/**
 * Whether hosts have room at all, and in which words it is said that they have not. Pure; for `placement-plan.ts`, which
 * asks while it gives places out.
 */
import { estimateMemory, type ModelVersion } from '@troupe/shared';
import type { ObservedHost } from './observed-host.js';

/** Whether some device would hold a worker of this version beside what is committed so far, whoever is there now. */
export function hasRoomBeside(content: ModelVersion, hosts: readonly ObservedHost[]): boolean {
  return hosts.some(
    (host) =>
      !host.stopping &&
      host.committed < host.slots &&
      host.devices.some((device) => {
        const room = host.rooms.get(device);
        if (room === undefined) return true;
        return room.committedBytes + estimateMemory(content, device) <= room.budgetBytes;
      }),
  );
}

/** Why so many workers of a version have no place; `undefined` where none is missing. */
export function describeShortage(
  content: ModelVersion,
  missing: number,
  hosts: readonly ObservedHost[],
): string | undefined {
  if (missing <= 0) return undefined;
  if (hosts.length === 0) return 'no host is up';
  const open = hosts.filter((host) => !host.stopping);
  if (open.length === 0) return 'every host is stopping';
  const slots = open.reduce((sum, host) => sum + host.slots, 0);
  const full = open.every((host) => host.taken >= host.slots);
  const count = (amount: number, noun: string) => `${amount} ${noun}${amount === 1 ? '' : 's'}`;
  if (full) return `no free slot: ${count(open.length, 'host')} with ${count(slots, 'slot')} in all`;
  const budgets = open.flatMap((host) => [...host.rooms.values()].map(({ budgetBytes }) => budgetBytes));
  if (budgets.some(Number.isFinite)) {
    const needed = Math.ceil(estimateMemory(content, open[0]?.devices[0] ?? 'cpu:0') / 1024 ** 2);
    return `${needed} MiB are needed, and no device has so much left of its memory budget`;
  }
  const devices = open.reduce((sum, host) => sum + host.devices.length, 0);
  return `a version is placed once on each device, and no further one of ${count(devices, 'device')} has room for it`;
}
