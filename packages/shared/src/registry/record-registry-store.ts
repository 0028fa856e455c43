/**
 * The registry over a `RecordBackend`: read a record, decide, compare-and-set, and again where somebody was faster.
 * Behind `createRedisRegistryStore` and `createMemoryRegistryStore`, which therefore mean the same by every change.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { parseHostName, parseLabel, parseModelName, quoteName } from '../names/namespace.js';
import {
  type ModelChange,
  planCondemned,
  planDeleteModel,
  planDeleteVersion,
  planLabel,
  planRegister,
  planReplicas,
  planResidency,
  planRollout,
} from './model-changes.js';
import type { HostSettings, ModelRecord, ModelVersion, Residency } from './model-record.js';
import type { RecordBackend, RecordKind, RecordWrite } from './record-backend.js';
import type {
  AuditEntry,
  ModelSettings,
  NewModelVersion,
  RegisterOutcome,
  RegistrySnapshot,
  RegistryStore,
  RolloutChange,
  WriteGuard,
} from './registry-store.js';
import {
  bareRecord,
  decodeHostSettings,
  decodeModel,
  encodeRecord,
  liveModel,
  type StoredModel,
} from './stored-record.js';

/** How long a change without an expected revision is tried again, and the longest pause between two tries. */
const conflictBudgetMs = 5_000;
const conflictPauseMs = 40;

/** Version, replicas and slots are whole numbers; anything else would be stored as it is. */
function requireCount(what: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new TroupeError('request.arguments', `${what} is ${quoteName(value)}: a whole number from ${least}`);
}

class RecordRegistryStore implements RegistryStore {
  readonly #backend: RecordBackend;

  constructor(backend: RecordBackend) {
    this.#backend = backend;
  }

  async read(): Promise<RegistrySnapshot> {
    const { revision, models, hosts } = await this.#backend.snapshot();
    const live = [...models].flatMap(([name, text]) => {
      const model = liveModel(decodeModel(text, name));
      return model === undefined ? [] : [[name, model] as const];
    });
    const settings = [...hosts].map(([host, text]) => {
      const { revision: _, ...wanted } = decodeHostSettings(text, host);
      return [host, wanted] as const;
    });
    return { revision, models: bareRecord(live), hostSettings: bareRecord<HostSettings>(settings) };
  }

  revision(): Promise<number> {
    return this.#backend.revision();
  }

  async model(name: string): Promise<ModelRecord | undefined> {
    const text = await this.#backend.readRecord('models', name);
    return text === undefined ? undefined : liveModel(decodeModel(text, name));
  }

  async registerVersion(
    name: string,
    version: NewModelVersion,
    options: ModelSettings,
    guard: WriteGuard,
  ): Promise<RegisterOutcome> {
    parseModelName(name);
    if (options.replicas !== undefined) requireCount('replicas', options.replicas, 0);
    if (options.idleMs !== undefined) requireCount('idleMs', options.idleMs, 1);
    const { change, stored } = await this.#change(name, guard, (current) =>
      planRegister(name, current, version, options),
    );
    const record = liveModel(stored);
    const registered = record?.versions[String(change.version)];
    if (record === undefined || registered === undefined) {
      throw new TroupeError(
        'internal.unexpected',
        `the registration of model ${quoteName(name)} left no record`,
      );
    }
    return { record, version: registered, created: change.next !== undefined };
  }

  async setLabel(
    name: string,
    label: string,
    version: number | undefined,
    guard: WriteGuard,
  ): Promise<ModelRecord> {
    parseLabel(label);
    return this.#changeModel(name, guard, (current) => planLabel(name, current, label, version));
  }

  async setReplicas(name: string, replicas: number, guard: WriteGuard): Promise<ModelRecord> {
    requireCount('replicas', replicas, 0);
    return this.#changeModel(name, guard, (current) => planReplicas(name, current, replicas));
  }

  async setResidency(
    name: string,
    residency: Residency,
    idleMs: number | undefined,
    guard: WriteGuard,
  ): Promise<ModelRecord> {
    if (idleMs !== undefined) requireCount('idleMs', idleMs, 1);
    return this.#changeModel(name, guard, (current) => planResidency(name, current, residency, idleMs));
  }

  setCondemned(
    name: string,
    version: number,
    condemned: ModelVersion['condemned'],
    guard: WriteGuard,
  ): Promise<ModelRecord> {
    return this.#changeModel(name, guard, (current) => planCondemned(name, current, version, condemned));
  }

  changeRollout(name: string, change: RolloutChange, guard: WriteGuard): Promise<ModelRecord> {
    return this.#changeModel(name, guard, (current) => planRollout(name, current, change));
  }

  deleteVersion(name: string, version: number, guard: WriteGuard): Promise<ModelRecord> {
    return this.#changeModel(name, guard, (current) => planDeleteVersion(name, current, version));
  }

  async deleteModel(name: string, guard: WriteGuard): Promise<boolean> {
    const { change } = await this.#change(name, guard, (current) => planDeleteModel(name, current));
    return change.next !== undefined;
  }

  async setHostSettings(host: string, settings: HostSettings, guard: WriteGuard): Promise<void> {
    parseHostName(host);
    requireCount('slots', settings.slots, 0);
    await this.#write('hosts', host, guard, (text) => {
      const current = text === undefined ? undefined : decodeHostSettings(text, host);
      const revision = current?.revision ?? 0;
      const next = current?.slots === settings.slots ? undefined : { slots: settings.slots };
      return { revision, visibleRevision: revision, next, action: 'set_host_settings', subject: host };
    });
  }

  async audit(count: number): Promise<AuditEntry[]> {
    return count < 1 ? [] : this.#backend.audit(Math.floor(count));
  }

  addStrike(stream: string, sequence: number): Promise<number> {
    return this.#backend.addStrike(`${stream}:${sequence}`);
  }

  clearStrikes(stream: string, sequence: number): Promise<void> {
    return this.#backend.clearStrikes(`${stream}:${sequence}`);
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  async #changeModel(
    name: string,
    guard: WriteGuard,
    plan: (current: StoredModel | undefined) => ModelChange,
  ): Promise<ModelRecord> {
    const record = liveModel((await this.#change(name, guard, plan)).stored);
    if (record !== undefined) return record;
    throw new TroupeError('internal.unexpected', `a change of model ${quoteName(name)} left no record`);
  }

  /** Makes one decided change of a model; `stored` is the record afterwards, as a reader would find it. */
  async #change<C extends ModelChange>(
    name: string,
    guard: WriteGuard,
    plan: (current: StoredModel | undefined) => C,
  ): Promise<{ change: C; stored: StoredModel | undefined }> {
    return this.#write('models', name, guard, (text) => {
      const stored = text === undefined ? undefined : decodeModel(text, name);
      const change = plan(stored);
      return {
        revision: stored?.revision ?? 0,
        // A deleted model is not there for its callers, while its tombstone's revision goes on counting.
        visibleRevision: liveModel(stored)?.revision ?? 0,
        next: change.next,
        action: change.action,
        subject: change.subject,
        change,
      };
    }).then(({ decided, text }) => ({
      change: decided.change,
      stored: text === undefined ? undefined : decodeModel(text, name),
    }));
  }

  async #write<
    D extends Pick<RecordWrite, 'action' | 'subject'> & {
      readonly revision: number;
      readonly visibleRevision: number;
      readonly next: object | undefined;
    },
  >(
    kind: RecordKind,
    name: string,
    guard: WriteGuard,
    decide: (text: string | undefined) => D,
  ): Promise<{ decided: D; text: string | undefined }> {
    const until = performance.now() + conflictBudgetMs;
    for (;;) {
      const before = await this.#backend.readRecord(kind, name);
      const decided = decide(before);
      const { action, subject, revision, visibleRevision, next } = decided;
      // Finding what was to be registered is no write: a repeated registration succeeds whatever its guard.
      if (next === undefined && action === 'register_version') return { decided, text: before };
      if (guard.expectedRevision !== undefined && guard.expectedRevision !== visibleRevision) {
        throw conflict(name, `has revision ${visibleRevision}, not ${guard.expectedRevision}`);
      }
      const text = next === undefined ? undefined : encodeRecord(next, revision + 1);
      const outcome = await this.#backend.writeRecord({
        kind,
        name,
        expectedRevision: revision,
        epoch: guard.epoch,
        text,
        actor: guard.actor,
        action,
        subject,
      });
      if (outcome.kind === 'written') return { decided, text: text ?? before };
      if (outcome.kind === 'stale') {
        throw new TroupeError(
          'epoch.stale',
          `epoch ${guard.epoch} may not write any more: ${outcome.highestEpoch} was given out`,
        );
      }
      if (guard.expectedRevision !== undefined) {
        throw conflict(name, `has revision ${outcome.revision}, not ${guard.expectedRevision}`);
      }
      if (performance.now() > until) throw conflict(name, 'is changed by others all the time');
      // Somebody was faster: read what they wrote, after a pause that keeps the losers from meeting again.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * conflictPauseMs));
    }
  }
}

function conflict(name: string, what: string): TroupeError {
  return new TroupeError('registry.conflict', `the record of ${quoteName(name)} ${what}`);
}

/** The registry on records that `backend` keeps. */
export function createRecordRegistryStore(backend: RecordBackend): RegistryStore {
  return new RecordRegistryStore(backend);
}
