/**
 * Holds what is known of the host's devices for its report: memory and utilisation of CUDA devices from nvidia-smi.
 * The host's upkeep says when to measure; without CUDA devices nothing is asked.
 */
import { budgetOf, type Device, type DeviceReport, type MemoryBudgets } from '@troupe/shared';
import { type GpuReading, readGpus } from './nvidia-smi.js';

/** Measuring waits for nothing longer. */
const limitMs = 2_000;

export class DeviceMeter {
  readonly #devices: readonly Device[];
  readonly #budgets: MemoryBudgets | undefined;
  readonly #read: () => Promise<readonly GpuReading[] | string>;
  #readings: ReadonlyMap<number, GpuReading> = new Map();

  constructor(devices: readonly Device[], budgets?: MemoryBudgets, read = () => readGpus(limitMs)) {
    this.#devices = devices;
    this.#budgets = budgets;
    this.#read = read;
  }

  /** Where there is no answer, nothing is known any more: an old number would look like a new one. Never rejects. */
  async measure(): Promise<void> {
    if (!this.#devices.some(({ kind }) => kind === 'cuda')) return;
    const readings = await this.#read();
    this.#readings = new Map(
      typeof readings === 'string' ? [] : readings.map((reading) => [reading.index, reading]),
    );
  }

  reports(): DeviceReport[] {
    return this.#devices.map(({ name, kind, index }) => {
      const { index: _, ...reading } = (kind === 'cuda' && this.#readings.get(index)) || { index };
      const memoryBudgetBytes = budgetOf(this.#budgets, name);
      return { name, kind, ...(memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes }), ...reading };
    });
  }
}
