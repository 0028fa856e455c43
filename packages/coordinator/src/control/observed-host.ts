/**
 * A host as the planner sees it: its lease's report, the slots it may use, and how much of them is taken.
 * Pure; built anew for every plan.
 */
import type { HostLease, HostSettings, WorkerReport } from '@troupe/shared';
import { type DeviceRoom, observeRooms } from './device-room.js';
import { type VersionRef, versionKey } from './worker-key.js';

/** One host while a plan is made. `taken` and `committed` grow as the plan gives out slots. */
export interface ObservedHost {
  readonly name: string;
  readonly stopping: boolean;
  /** Slots that may be used: what the host has now or what an admin wants, whichever is less. */
  readonly slots: number;
  readonly devices: readonly string[];
  readonly workers: readonly WorkerReport[];
  /** Memory by device. */
  readonly rooms: ReadonlyMap<string, DeviceRoom>;
  /** Slots in use, draining workers included, plus those that this plan gives out. */
  taken: number;
  /** Workers that this plan wants here. */
  committed: number;
}

/** Hosts by name, in a fixed order, so that equal observations give equal plans. */
export function observeHosts(
  leases: readonly HostLease[],
  settings: Readonly<Record<string, HostSettings>>,
): ObservedHost[] {
  return leases
    .map(({ host, report }) => ({
      name: host,
      stopping: report.stopping,
      slots: Math.min(report.slots, settings[host]?.slots ?? report.slots),
      devices: report.devices.map((device) => device.name),
      workers: [...report.workers].sort(compareWorkers),
      rooms: observeRooms(report),
      taken: report.workers.length,
      committed: 0,
    }))
    .sort((a, b) => compareText(a.name, b.name));
}

/** Whether a worker answers requests of its queue now, be it with its own version or with a snapshot. */
export function answers(worker: WorkerReport): boolean {
  return worker.state === 'serving' || (worker.state === 'fallback' && worker.servingVersion !== undefined);
}

/** Whether a worker answers with the very version that it was assigned. */
export function answersItself(worker: WorkerReport): boolean {
  return worker.state === 'serving' && (worker.servingVersion ?? worker.version) === worker.version;
}

export function isOf(worker: WorkerReport, ref: VersionRef): boolean {
  return worker.version === ref.version && worker.model === ref.model;
}

/** Order by code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareWorkers(a: WorkerReport, b: WorkerReport): number {
  return compareText(versionKey(a), versionKey(b)) || compareText(a.device, b.device);
}
