/**
 * Room in the memory budgets of a host's devices while a plan is made. Pure; part of `observed-host.ts`. A worker counts
 * with what its host says, draining ones included: their memory is back only when they are gone from the report.
 */
import type { HostReport, WorkerReport } from '@troupe/shared';

/** One device. `takenBytes` and `committedBytes` grow as the plan gives out room. */
export interface DeviceRoom {
  /** Infinite where the device has no budget. */
  readonly budgetBytes: number;
  /** What workers count with that are leaving: it will be free. */
  readonly leavingBytes: number;
  /** In use now, leaving workers included, plus what this plan gives out. */
  takenBytes: number;
  /** What this plan wants here. */
  committedBytes: number;
}

export function observeRooms(report: HostReport): Map<string, DeviceRoom> {
  const sum = (device: string, counts: (worker: WorkerReport) => boolean) =>
    report.workers
      .filter((worker) => worker.device === device && counts(worker))
      .reduce((bytes, worker) => bytes + (worker.memoryChargedBytes ?? 0), 0);
  return new Map(
    report.devices.map(({ name, memoryBudgetBytes }) => [
      name,
      {
        budgetBytes: memoryBudgetBytes ?? Number.POSITIVE_INFINITY,
        leavingBytes: sum(name, ({ state }) => state === 'draining'),
        takenBytes: sum(name, () => true),
        committedBytes: 0,
      },
    ]),
  );
}
