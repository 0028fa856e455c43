/** What the admin API answers, as callers of the client see it. Checked at its outline; the rest is the cluster's word. */
import {
  type HostReport,
  type ModelRecord,
  type ModelSummary,
  type ModelVersion,
  TroupeError,
  type VersionSummary,
  type WorkerReport,
} from '@troupe/shared';
import type { DeadLetter } from '@troupe/shared/nats';

/** A model with all that the registry holds of its versions: signature, batching, limits, golden cases. */
export interface ModelDetails extends Omit<ModelSummary, 'versions'>, Partial<Pick<ModelRecord, 'revision'>> {
  readonly versions: readonly (VersionSummary & Partial<ModelVersion>)[];
}

/** A host, and how long its lease still runs. */
export interface HostSummary extends HostReport {
  readonly leaseRemainingMs: number;
  /** Fencing token of its lease. */
  readonly token: number;
  /** Slots that an admin wants it to have, where one said so; `slots` follows. */
  readonly wantedSlots?: number;
}

/** A worker, and the host that it is on. */
export interface WorkerSummary extends WorkerReport {
  readonly host: string;
}

/** A dead letter that was replayed or dropped. */
export type DeadLetterRef = Pick<DeadLetter, 'sequence' | 'model' | 'version' | 'requestId'>;

/** What came of a registration. */
export interface RegistrationAnswer {
  readonly model: string;
  readonly version: number;
  /** False where the same content was registered before. */
  readonly created: boolean;
  /** The label that the version bears, where it bears one. */
  readonly label?: string;
}

export function parseModels(answer: unknown): ModelSummary[] {
  return listIn(answer, 'models.list', 'models') as ModelSummary[];
}

export function parseModel(answer: unknown): ModelDetails {
  const content = objectOf(answer, 'models.show');
  // Some answers wrap the one thing that they are about.
  const model =
    'model' in content && typeof content.model === 'object'
      ? objectOf(content.model, 'models.show')
      : content;
  listIn(model, 'models.show', 'versions');
  return model as unknown as ModelDetails;
}

export function parseHosts(answer: unknown): HostSummary[] {
  return listIn(answer, 'hosts.list', 'hosts').map((entry) => {
    const { report, remainingMs, token, wantedSlots } = objectOf(entry, 'hosts.list');
    return {
      ...(objectOf(report, 'hosts.list') as unknown as HostReport),
      leaseRemainingMs: Number(remainingMs),
      token: Number(token),
      ...(typeof wantedSlots === 'number' ? { wantedSlots } : {}),
    };
  });
}

export function parseWorkers(answer: unknown): WorkerSummary[] {
  return listIn(answer, 'workers.list', 'workers') as WorkerSummary[];
}

export function parseDeadLetters(answer: unknown): DeadLetter[] {
  return listIn(answer, 'dead.list', 'letters') as DeadLetter[];
}

export function parseDeadLetterRef(answer: unknown, call: string): DeadLetterRef {
  const { sequence, model, version, requestId } = objectOf(answer, call);
  if (typeof sequence !== 'number' || typeof model !== 'string' || typeof version !== 'number')
    throw malformed(call);
  return { sequence, model, version, requestId: String(requestId) };
}

export function parseRegistration(answer: unknown): RegistrationAnswer {
  const { model, version, created, label } = objectOf(answer, 'models.register');
  if (typeof model !== 'string' || typeof version !== 'number') throw malformed('models.register');
  return { model, version, created: created === true, ...(typeof label === 'string' ? { label } : {}) };
}

function listIn(answer: unknown, call: string, member: string): unknown[] {
  const list = objectOf(answer, call)[member];
  if (!Array.isArray(list)) throw malformed(call);
  return list;
}

function objectOf(value: unknown, call: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(call);
  return value as Record<string, unknown>;
}

function malformed(call: string): TroupeError {
  return new TroupeError(
    'answer.malformed',
    `the cluster's answer to ${call} is not what this client knows: are both of one version?`,
  );
}
