/**
 * Memory budgets of devices: how they are written, and what a worker counts with against one. Host and planner reckon
 * by the same rule from here; nothing is measured here.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import type { ModelVersion } from '../registry/model-record.js';
import { parseDevice } from './device.js';

/** What the workers of a device may use together, in bytes; for the devices that none is said for, `others`. */
export interface MemoryBudgets {
  readonly others?: number;
  readonly byDevice: Readonly<Record<string, number>>;
}

const mebibyte = 1024 ** 2;

/**
 * A runner with the smallest model: no version counts with less. Measured on Linux, Node 20 and ONNX Runtime 1.30: 63 to
 * 73 MiB of proportional set size where it is alone, 48 MiB beside seven others; a trial is subject to the same.
 */
const bareRunnerBytes = 64 * mebibyte;
/**
 * Beyond that: buffers and heap of a runner under load. Measured with 32 requests open all the time: runners of a tiny
 * model grew to between 80 and 87 MiB.
 */
const workBytes = 32 * mebibyte;
/** What a process takes on a GPU before its first tensor: context, kernels, libraries. Not on top of the processor's. */
const gpuContextBytes = 512 * mebibyte;

const units: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['K', 1024],
  ['M', mebibyte],
  ['G', 1024 ** 3],
  ['KIB', 1024],
  ['MIB', mebibyte],
  ['GIB', 1024 ** 3],
]);

/** `600MiB`, `2G`, `1.5GB`, or bytes without a unit. Throws `config.invalid`. */
export function parseBytes(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = units.get(match?.[2]?.toUpperCase() ?? '?');
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new TroupeError(
    'config.invalid',
    `${quoteName(text)} is no amount of memory: write bytes, or a number with MB, GB, MiB or GiB, for example 600MiB`,
  );
}

/** `2GiB` for each device, or `cpu:0=600MiB,cuda:0=20GiB`, or both: `cuda:0=20GiB,1GiB`. Throws `config.invalid`. */
export function parseMemoryBudgets(text: string): MemoryBudgets {
  let others: number | undefined;
  const byDevice: Record<string, number> = {};
  for (const part of text.split(',')) {
    const [first = '', second] = part.split('=').map((side) => side.trim());
    if (second === undefined) {
      if (others !== undefined) {
        throw new TroupeError('config.invalid', `${quoteName(text)} has two budgets that name no device`);
      }
      others = parseBytes(first);
      continue;
    }
    const { name } = parseDevice(first);
    if (Object.hasOwn(byDevice, name)) {
      throw new TroupeError('config.invalid', `${quoteName(text)} has two budgets for ${name}`);
    }
    byDevice[name] = parseBytes(second);
  }
  return { ...(others === undefined ? {} : { others }), byDevice };
}

/** The budget of one device; `undefined` where it has none. */
export function budgetOf(budgets: MemoryBudgets | undefined, device: string): number | undefined {
  return budgets?.byDevice[device] ?? budgets?.others;
}

/** What a worker of this version is expected to use on a device. On a processor from the trial's measurement. */
export function estimateMemory(
  version: Pick<ModelVersion, 'sizeBytes' | 'memoryBytes'>,
  device: string,
): number {
  // The trial measures a process on a processor; of a GPU it tells nothing.
  if (!device.startsWith('cpu:')) return gpuContextBytes + 2 * version.sizeBytes;
  const loadedBytes = version.memoryBytes ?? bareRunnerBytes + 2 * version.sizeBytes;
  return Math.max(bareRunnerBytes, loadedBytes) + workBytes;
}

/** What a worker counts with against its device's budget: the larger of what is expected and what was measured. */
export function chargeMemory(estimateBytes: number, measuredBytes: number | undefined): number {
  return Math.max(estimateBytes, measuredBytes ?? 0);
}
