/**
 * What each change of a model does to its record: pure deciders, the same for every store. They throw what a caller
 * should see, and know nothing of revisions, epochs or where records are kept.
 */
import { isDeepStrictEqual } from 'node:util';
import { defaults } from '../config/defaults.js';
import { TroupeError } from '../errors/troupe-error.js';
import { isActiveRollout } from '../rollout/rollout-record.js';
import { type ModelRecord, type ModelVersion, Residency } from './model-record.js';
import type { ModelSettings, NewModelVersion, RolloutChange } from './registry-store.js';
import { bareRecord, liveModel, type ModelTombstone, type StoredModel } from './stored-record.js';

/** A model without its revision, which the store gives. */
export type NextModel = Omit<ModelRecord, 'revision'> | Omit<ModelTombstone, 'revision'>;

/** A decided change. Action and subject are what the audit says. */
export interface ModelChange {
  readonly action: string;
  readonly subject: string;
  /** Undefined where the record is so already: nothing is written, the checks are made all the same. */
  readonly next: NextModel | undefined;
}

/** A decided registration: which version it is. */
export interface RegisterChange extends ModelChange {
  readonly version: number;
}

function requireModel(name: string, stored: StoredModel | undefined): ModelRecord {
  const model = liveModel(stored);
  if (model !== undefined) return model;
  throw new TroupeError('model.unknown', `model ${JSON.stringify(name)} is not registered`);
}

function requireVersion(model: ModelRecord, version: number): ModelVersion {
  const found = model.versions[String(version)];
  if (found !== undefined) return found;
  const known = Object.keys(model.versions).slice(-10).join(', ');
  throw new TroupeError(
    'model.version_unknown',
    `model ${JSON.stringify(model.name)} has no version ${version}; it has ${known === '' ? 'none' : known}`,
  );
}

/** As it comes back from JSON: absent and undefined members are the same. */
function asStored<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function content({ digest, batching, limits, golden }: NewModelVersion): unknown {
  return { digest, batching, limits, golden };
}

/** Adds a version; one with equal digest, batching, limits and golden cases is found again instead. */
export function planRegister(
  name: string,
  stored: StoredModel | undefined,
  version: NewModelVersion,
  settings: ModelSettings,
): RegisterChange {
  const action = 'register_version';
  const model = liveModel(stored);
  const added = asStored(version);
  const same = Object.values(model?.versions ?? {}).find((one) =>
    isDeepStrictEqual(asStored(content(one)), content(added)),
  );
  if (same !== undefined) {
    return { action, subject: `${name}/${same.version}`, next: undefined, version: same.version };
  }
  const number = (stored?.latestVersion ?? 0) + 1;
  const versions = Object.entries(model?.versions ?? {});
  const residency = settings.residency ?? model?.residency;
  const idleMs = settings.idleMs ?? model?.idleMs;
  const next = {
    ...(model?.rollout === undefined ? {} : { rollout: model.rollout }),
    ...(residency === undefined ? {} : { residency }),
    ...(idleMs === undefined ? {} : { idleMs }),
    name,
    versions: bareRecord([...versions, [String(number), { ...added, version: number }]]),
    labels: versions.length === 0 ? { stable: number } : (model?.labels ?? {}),
    replicas: settings.replicas ?? model?.replicas ?? usualReplicas(residency),
    latestVersion: number,
  };
  return { action, subject: `${name}/${number}`, next, version: number };
}

/** What is loaded for single requests is loaded once. */
function usualReplicas(residency: Residency | undefined): number {
  return residency === Residency.OnDemand || residency === Residency.Prefetched ? 1 : defaults.replicas;
}

/** Says when a model is in memory. */
export function planResidency(
  name: string,
  stored: StoredModel | undefined,
  residency: Residency,
  idleMs: number | undefined,
): ModelChange {
  const model = requireModel(name, stored);
  const next = { ...model, residency, ...(idleMs === undefined ? {} : { idleMs }) };
  const same = isDeepStrictEqual(asStored(next), asStored(model));
  return { action: 'set_residency', subject: name, next: same ? undefined : next };
}

/** Puts a label on a version, or takes it away. */
export function planLabel(
  name: string,
  stored: StoredModel | undefined,
  label: string,
  version: number | undefined,
): ModelChange {
  const model = requireModel(name, stored);
  if (version !== undefined) requireVersion(model, version);
  const subject = `${name}@${label}`;
  const action = version === undefined ? 'remove_label' : 'set_label';
  if (model.labels[label] === version) return { action, subject, next: undefined };
  const others = Object.entries(model.labels).filter(([other]) => other !== label);
  const labels = bareRecord(version === undefined ? others : [...others, [label, version] as const]);
  return { action, subject, next: { ...model, labels } };
}

export function planReplicas(name: string, stored: StoredModel | undefined, replicas: number): ModelChange {
  const model = requireModel(name, stored);
  const next = model.replicas === replicas ? undefined : { ...model, replicas };
  return { action: 'set_replicas', subject: name, next };
}

/** Condemns a version, or lifts that. */
export function planCondemned(
  name: string,
  stored: StoredModel | undefined,
  version: number,
  condemned: ModelVersion['condemned'],
): ModelChange {
  const model = requireModel(name, stored);
  const { condemned: before, ...rest } = requireVersion(model, version);
  const action = condemned === undefined ? 'pardon_version' : 'condemn_version';
  const subject = `${name}/${version}`;
  if (isDeepStrictEqual(before, condemned)) return { action, subject, next: undefined };
  const changed = condemned === undefined ? rest : { ...rest, condemned };
  const versions = bareRecord([...Object.entries(model.versions), [String(version), changed]]);
  return { action, subject, next: { ...model, versions } };
}

/** Writes a step of a rollout, with the label and the verdict that go with it. */
export function planRollout(
  name: string,
  stored: StoredModel | undefined,
  change: RolloutChange,
): ModelChange {
  const model = requireModel(name, stored);
  const { condemn, rollout, stable } = change;
  requireVersion(model, rollout.to);
  if (stable !== undefined) requireVersion(model, stable);
  let versions = model.versions;
  if (condemn !== undefined) {
    const { cause, at, version } = condemn;
    const condemned = { ...requireVersion(model, version), condemned: { cause, at } };
    versions = bareRecord([...Object.entries(versions), [String(version), condemned]]);
  }
  const labels =
    stable === undefined
      ? model.labels
      : bareRecord([
          ...Object.entries(model.labels).filter(([label]) => label !== 'stable'),
          ['stable', stable],
        ]);
  return {
    action: `rollout_${rollout.phase}`,
    subject: `${name}/${rollout.to}`,
    next: { ...model, versions, labels, rollout: asStored(rollout) },
  };
}

/** Removes a version that no label names. */
export function planDeleteVersion(
  name: string,
  stored: StoredModel | undefined,
  version: number,
): ModelChange {
  const model = requireModel(name, stored);
  requireVersion(model, version);
  const labels = Object.keys(model.labels).filter((label) => model.labels[label] === version);
  if (labels.length > 0) {
    throw new TroupeError(
      'model.in_use',
      `version ${version} of model ${JSON.stringify(name)} has the label ${labels.join(', ')}; move it first`,
    );
  }
  const { rollout } = model;
  if (isActiveRollout(rollout) && (rollout.to === version || rollout.from === version)) {
    throw new TroupeError(
      'model.in_use',
      `version ${version} of model ${JSON.stringify(name)} is in a rollout; wait for its end, or abort it`,
    );
  }
  const versions = bareRecord(
    Object.entries(model.versions).filter(([number]) => number !== String(version)),
  );
  return { action: 'delete_version', subject: `${name}/${version}`, next: { ...model, versions } };
}

/** Removes a model; no change where there is none. */
export function planDeleteModel(name: string, stored: StoredModel | undefined): ModelChange {
  const model = liveModel(stored);
  const next =
    model === undefined ? undefined : { deleted: true as const, latestVersion: model.latestVersion };
  return { action: 'delete_model', subject: name, next };
}
