/**
 * Obeys the leader's commands: refuses those of a lower epoch, hands assignments to the workers, tries models one at
 * a time. Called by the host for each command from NATS; owns no worker and no connection.
 */
import {
  asTroupeError,
  type ClusterSettings,
  type Device,
  EventKind,
  encodeError,
  type HostCommandEnvelope,
  type HostCommandReply,
  type Log,
  type TrialRequest,
  type TrialVerdict,
  TroupeError,
} from '@troupe/shared';
import { runTrial } from '../onnx/trial.js';
import { countIntraOpThreads } from './core-share.js';
import type { EpochGate } from './epoch-gate.js';
import { parseHostCommand } from './parse-command.js';
import type { SnapshotStore } from './snapshot-store.js';
import { TrialQueue } from './trial-queue.js';
import type { WorkerTable } from './worker-table.js';

export interface HostCommandsOptions {
  readonly host: string;
  readonly devices: readonly Device[];
  readonly settings: ClusterSettings;
  readonly log: Log;
  readonly gate: EpochGate;
  readonly store: SnapshotStore;
  readonly table: WorkerTable;
  readonly isStopping: () => boolean;
  readonly emit: (kind: EventKind, text: string, data: Readonly<Record<string, unknown>>) => void;
}

export class HostCommands {
  readonly #options: HostCommandsOptions;
  readonly #trials = new TrialQueue();

  constructor(options: HostCommandsOptions) {
    this.#options = options;
  }

  /** Does what it says, or answers why not. Never rejects. */
  async handle(received: HostCommandEnvelope): Promise<HostCommandReply> {
    const { emit, gate, host, log, store, table } = this.#options;
    try {
      const { epoch, command } = parseHostCommand(received);
      if (epoch !== undefined) gate.admit(epoch);
      if (command.kind === 'trial') {
        const trial = await this.#trials.run(() => this.#try(command.trial));
        return { ok: true, epoch: gate.highest, trial };
      }
      if (command.kind === 'prefetch') {
        await store.ensureBlob(command.digest, command.sizeBytes);
        return { ok: true, epoch: gate.highest };
      }
      const slots = table.slots;
      table.apply(command);
      if (command.kind === 'scale' && command.slots !== slots) {
        emit(EventKind.HostScaled, `host ${host} has ${command.slots} slots now`, { slots: command.slots });
      }
      return { ok: true, epoch: gate.highest };
    } catch (thrown) {
      const error = asTroupeError(thrown);
      log.debug({ err: error }, 'a command was refused');
      return { ok: false, error: encodeError(error) };
    }
  }

  async #try(trial: TrialRequest): Promise<TrialVerdict> {
    const { devices, host, isStopping, settings, store, table } = this.#options;
    const [device] = devices;
    if (device === undefined || isStopping()) {
      throw new TroupeError('placement.no_host', `host ${host} is stopping`);
    }
    const modelPath = await store.ensureBlob(trial.digest, trial.sizeBytes);
    try {
      return await runTrial({
        modelPath,
        trial,
        device: device.name,
        intraOpThreads: countIntraOpThreads(device.name, devices),
        limitMs: settings.loadLimitMs,
      });
    } catch (thrown) {
      // Nothing of a refused artifact stays.
      await store.discard(trial.digest, table.digestsInUse());
      throw thrown;
    }
  }
}
