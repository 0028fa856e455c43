/** How models look from outside: the registry's word beside the routing table's. Pure; used by the admin API. */
import { type ModelRecord, type ModelVersion, Residency, type RoutingEntry } from '@troupe/shared';

/** A version in the list of models. */
export interface VersionSummary {
  readonly version: number;
  /** As in the routing table; `registered` where no route leads to it. */
  readonly state: 'ready' | 'loading' | 'cold' | 'unplaced' | 'failed' | 'registered';
  readonly serving: number;
  readonly wanted: number;
  readonly batchable: boolean;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly reason?: string;
}

/** A model in the list of models. */
export interface ModelSummary {
  readonly name: string;
  readonly labels: Readonly<Record<string, number>>;
  readonly replicas: number;
  readonly residency: Residency;
  readonly idleMs?: number;
  readonly versions: readonly VersionSummary[];
}

export function summarizeModel(model: ModelRecord, route: RoutingEntry | undefined): ModelSummary {
  const versions = sortedVersions(model).map((version) => summarizeVersion(model, version, route));
  return {
    name: model.name,
    labels: model.labels,
    replicas: model.replicas,
    residency: model.residency ?? Residency.Always,
    ...(model.idleMs === undefined ? {} : { idleMs: model.idleMs }),
    versions,
  };
}

/** A model with all that the registry holds, and its routing entry as it is published. */
export function describeModel(model: ModelRecord, route: RoutingEntry | undefined) {
  return {
    ...summarizeModel(model, route),
    revision: model.revision,
    latestVersion: model.latestVersion,
    versions: sortedVersions(model).map((version) => ({
      ...version,
      ...summarizeVersion(model, version, route),
    })),
    ...(route === undefined
      ? {}
      : { route: { epoch: route.epoch, labels: route.labels, weights: route.weights } }),
  };
}

function sortedVersions(model: ModelRecord): ModelVersion[] {
  return Object.values(model.versions).sort((a, b) => a.version - b.version);
}

function summarizeVersion(
  model: ModelRecord,
  version: ModelVersion,
  route: RoutingEntry | undefined,
): VersionSummary {
  const routed = route?.versions[String(version.version)];
  const labelled = Object.values(model.labels).includes(version.version);
  // A label that was set a moment ago: the leader has not published its route yet.
  const unrouted = labelled
    ? ({ state: 'loading', wanted: model.replicas } as const)
    : ({ state: 'registered', wanted: 0 } as const);
  const reason = routed?.reason ?? version.condemned?.cause;
  return {
    version: version.version,
    state: routed?.state ?? unrouted.state,
    serving: routed?.serving ?? 0,
    wanted: routed?.wanted ?? unrouted.wanted,
    batchable: version.batchable,
    digest: version.digest,
    sizeBytes: version.sizeBytes,
    ...(reason === undefined ? {} : { reason }),
  };
}
