/**
 * Where requests should go: pure. Called by `plan.ts` after placement. A label moves to another version only when
 * that version's workers serve, so a request never meets a version that is still loading while another could answer.
 */
import type { ModelRecord, RouteVersion, RoutingEntry } from '@troupe/shared';
import {
  bakingWeights,
  canaryWeights,
  condemnedByRollout,
  givenUpVersion,
  rolloutVersions,
  waitsForPlace,
} from '../rollout/rollout-roles.js';
import { answers, answersItself, isOf, type ObservedHost } from './observed-host.js';
import type { Placement } from './placement-plan.js';
import { type VersionRef, versionKey, workerKey } from './worker-key.js';

/** What the leader knows beyond reports, as it touches routes. */
export interface RoutesContext {
  readonly epoch: number;
  /** Routing entries as they are published now, by model. */
  readonly previousRoutes: ReadonlyMap<string, RoutingEntry>;
  /** Version keys that had a serving worker a moment ago: a runner that restarts does not close its route. */
  readonly recentlyServing: ReadonlySet<string>;
  readonly cutOff: ReadonlySet<string>;
}

/** Serving and failing workers of a version over all hosts. */
export interface VersionHealth {
  /** Workers that exist and are not on their way out. */
  readonly workers: number;
  readonly answering: number;
  readonly answeringItself: number;
  /** Workers in fallback that cannot answer, and why the first of them cannot. */
  readonly failed: number;
  readonly failure: string | undefined;
}

export function versionHealth(
  ref: VersionRef,
  hosts: readonly ObservedHost[],
  cutOff: ReadonlySet<string>,
): VersionHealth {
  let [workers, answering, answeringItself, failed] = [0, 0, 0, 0];
  let failure: string | undefined;
  for (const host of hosts) {
    for (const worker of host.workers) {
      if (!isOf(worker, ref) || worker.state === 'draining') continue;
      workers += 1;
      if (cutOff.has(workerKey({ host: host.name, device: worker.device }, ref))) continue;
      if (answers(worker)) answering += 1;
      if (answersItself(worker)) answeringItself += 1;
      if (worker.state === 'fallback' && !answers(worker)) {
        failed += 1;
        failure ??= worker.reason;
      }
    }
  }
  return { workers, answering, answeringItself, failed, failure };
}

/**
 * Which version each label leads to now: the one that the registry says once that serves, until then the one that it
 * led to before, as long as that one can still answer.
 */
export function effectiveLabels(
  model: ModelRecord,
  placements: ReadonlyMap<string, Placement>,
  hosts: readonly ObservedHost[],
  context: RoutesContext,
): Record<string, number> {
  const previous = context.previousRoutes.get(model.name)?.labels ?? {};
  const labels: Record<string, number> = {};
  for (const label of Object.keys(model.labels).sort()) {
    const named = model.labels[label];
    if (named === undefined) continue;
    const next = named === givenUpVersion(model) ? (model.rollout?.to ?? named) : named;
    const before = previous[label];
    labels[label] = next;
    if (before === undefined || before === next || model.versions[String(before)] === undefined) continue;
    const old = { model: model.name, version: before };
    const health = versionHealth(old, hosts, context.cutOff);
    // It has no place until this one has gone, or it is this one that has none: requests wait.
    const isOther = before === model.rollout?.from || before === model.rollout?.to;
    const mustWait = isOther && waitsForPlace(model, next) && isWithoutPlace(model.name, next, placements);
    if (mustWait) continue;
    if (model.versions[String(before)]?.condemned !== undefined) {
      // An admin goes back to a version that has to be loaded first: until then the condemned one is all there is.
      const other = versionHealth({ model: model.name, version: next }, hosts, context.cutOff);
      if (health.answeringItself > 0 && other.answering === 0) labels[label] = before;
      continue;
    }
    const canAnswer = health.answering > 0;
    if (canAnswer && !mayTakeOver({ model: model.name, version: next }, placements, hosts, context)) {
      labels[label] = before;
    }
  }
  return labels;
}

function isWithoutPlace(model: string, version: number, placements: ReadonlyMap<string, Placement>): boolean {
  const placement = placements.get(versionKey({ model, version }));
  return placement?.canCome === true && placement.targets.length === 0;
}

/** Every placed worker serves, or some do and the others have failed and are not waited for. */
function mayTakeOver(
  ref: VersionRef,
  placements: ReadonlyMap<string, Placement>,
  hosts: readonly ObservedHost[],
  context: RoutesContext,
): boolean {
  const targets = placements.get(versionKey(ref))?.targets ?? [];
  const health = versionHealth(ref, hosts, context.cutOff);
  return health.answeringItself > 0 && health.answeringItself + health.failed >= targets.length;
}

/** The entry of one model. `held` are versions without a label that a label still leads to. */
export function planRoute(
  model: ModelRecord,
  labels: Readonly<Record<string, number>>,
  placements: ReadonlyMap<string, Placement>,
  hosts: readonly ObservedHost[],
  context: RoutesContext,
): RoutingEntry {
  const condemned = condemnedByRollout(model);
  const givenUp = givenUpVersion(model);
  const listed = new Set([
    ...Object.values(model.labels).filter((version) => version !== givenUp),
    ...Object.values(labels),
    ...rolloutVersions(model),
    ...(condemned === undefined ? [] : [condemned]),
  ]);
  /** Where a label leads only until the version that it names can answer. */
  const held = new Set(
    Object.keys(labels)
      .filter((label) => labels[label] !== model.labels[label])
      .map((label) => labels[label]),
  );
  const versions: Record<string, RouteVersion> = {};
  for (const version of [...listed].sort((a, b) => a - b)) {
    const route = planRouteVersion(model, version, held.has(version), placements, hosts, context);
    if (route !== undefined) versions[String(version)] = route;
  }
  const stable = labels.stable;
  return {
    epoch: context.epoch,
    model: model.name,
    labels,
    weights: planWeights(model, stable, versions),
    versions,
  };
}

/** Canary shares, where both versions can be had; else all that names no version goes where `stable` leads. */
function planWeights(
  model: ModelRecord,
  stable: number | undefined,
  versions: Readonly<Record<string, RouteVersion>>,
): RoutingEntry['weights'] {
  if (stable === undefined) return [];
  const shares = canaryWeights(model) ?? bakingWeights(model, versions);
  const canBeHad = shares?.every(({ version }) => versions[String(version)]?.state === 'ready');
  return shares === undefined || canBeHad !== true ? [{ version: stable, weight: 1 }] : shares;
}

function planRouteVersion(
  model: ModelRecord,
  version: number,
  /** Whether a label leads to it for want of the version that it names. */
  held: boolean,
  placements: ReadonlyMap<string, Placement>,
  hosts: readonly ObservedHost[],
  context: RoutesContext,
): RouteVersion | undefined {
  const content = model.versions[String(version)];
  if (content === undefined) return undefined;
  const ref = { model: model.name, version };
  const key = versionKey(ref);
  const placement = placements.get(key);
  const health = versionHealth(ref, hosts, context.cutOff);
  const wasReady = context.previousRoutes.get(model.name)?.versions[String(version)]?.state === 'ready';
  const placed = (placement?.targets.length ?? 0) > 0 || health.workers > 0;
  const facts = {
    signature: content.signature,
    serving: health.answering,
    wanted: placement?.wanted.replicas ?? health.workers,
  };
  const because = (reason: string | undefined) => (reason === undefined ? {} : { reason });
  if (content.condemned !== undefined) {
    const reason = `it was condemned: ${content.condemned.cause}`;
    const stays = held && health.answeringItself > 0;
    return { ...facts, state: stays ? 'ready' : 'failed', reason };
  }
  if (placement?.leave !== undefined && placement.canCome) return { ...facts, state: 'cold' };
  if (health.answering > 0) return { ...facts, state: 'ready', ...because(placement?.shortage) };
  const failed = health.failed > 0 && health.failed >= health.workers;
  if (placement !== undefined && placement.standing !== 'firm' && !failed) {
    if (placed || placement.reserved > 0) return { ...facts, state: 'cold' };
  }
  if (!placed && placement !== undefined && placement.reserved > 0) {
    return { ...facts, state: 'loading', reason: 'others give way to it' };
  }
  if (!placed && placement?.canCome === true && waitsForPlace(model, version)) {
    return { ...facts, state: 'loading', reason: 'it has to wait for the place of the other version' };
  }
  if (!placed) {
    const shortOf = isShortOfMemory(placement, hosts) ? ({ shortOf: 'memory' } as const) : {};
    return { ...facts, state: 'unplaced', reason: placement?.shortage ?? 'no worker is left', ...shortOf };
  }
  if (wasReady && (!failed || context.recentlyServing.has(key)))
    return { ...facts, state: 'ready', ...because(placement?.shortage) };
  if (failed) return { ...facts, state: 'failed', reason: health.failure ?? 'its workers cannot serve it' };
  return { ...facts, state: 'loading', ...because(placement?.shortage) };
}

function isShortOfMemory(placement: Placement | undefined, hosts: readonly ObservedHost[]): boolean {
  if (placement === undefined || placement.standing === 'firm') return false;
  return hosts.some(({ rooms }) =>
    [...rooms.values()].some(({ budgetBytes }) => Number.isFinite(budgetBytes)),
  );
}
