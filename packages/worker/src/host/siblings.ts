/**
 * The workers of this host as they stand in for each other: a warm worker of one version can cover the queue of another
 * at once, without loading anything. The host has one of these; its workers put themselves in.
 */
import type { ModelVersion, WorkerState } from '@troupe/shared';
import type { CoverMode } from '../ipc/runner-messages.js';
import { acceptsSignature } from './signature-accepts.js';

/** Who asked to be covered. */
export interface Covered {
  /** The first answer for it since it last asked for `active`: when, in nanoseconds. */
  answered(answeredNs: bigint): void;
}

/** A worker as others see it who want to be covered. */
export interface CoveringWorker {
  readonly model: string;
  readonly device: string;
  readonly assigned: ModelVersion;
  readonly state: WorkerState | undefined;
  /** Whether its runner reaches NATS, and since when it has not pulled. */
  reach(): { readonly natsConnected: boolean; readonly lastPullAgoMs?: number };
  /** Covers a version for somebody, or is ready to. A repeat changes the mode. */
  cover(who: Covered, version: ModelVersion, mode: CoverMode): void;
  uncover(who: Covered, version: ModelVersion): void;
}

/** See the file's head. */
export class Siblings {
  readonly #workers = new Set<CoveringWorker>();
  readonly #watchers = new Set<() => void>();

  add(worker: CoveringWorker): void {
    this.#workers.add(worker);
  }

  remove(worker: CoveringWorker): void {
    this.#workers.delete(worker);
    this.changed();
  }

  /** A worker began to serve, or serves no longer. */
  changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Calls back after each change; returns how to end that. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** A serving worker of the version that can answer for `wanted`, one on the same device first. */
  find(model: string, version: number, wanted: ModelVersion, device: string): CoveringWorker | undefined {
    const fit = [...this.#workers].filter((worker) => canCover(worker, model, version, wanted));
    return fit.find((worker) => worker.device === device) ?? fit[0];
  }
}

/** Whether a worker can answer for a version now. */
export function canCover(
  worker: CoveringWorker,
  model: string,
  version: number,
  wanted: ModelVersion,
): boolean {
  const { assigned } = worker;
  return (
    worker.state === 'serving' &&
    worker.model === model &&
    assigned.version === version &&
    assigned.version !== wanted.version &&
    acceptsSignature(assigned.signature, wanted.signature)
  );
}
