/** How models look from outside: the registry's word beside the routing table's. Pure; used by the admin API. */
import {
  type ModelRecord,
  type ModelSummary,
  type ModelVersion,
  Residency,
  type RoutingEntry,
  type VersionSummary,
} from '@troupe/shared';
import { givenUpVersion } from '../rollout/rollout-roles.js';

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
  const isGivenUp = version.version === givenUpVersion(model);
  const labelled = Object.values(model.labels).includes(version.version) && !isGivenUp;
  // A label that was set a moment ago: the leader has not published its route yet.
  const unrouted = labelled
    ? ({ state: 'loading', wanted: model.replicas } as const)
    : ({ state: 'registered', wanted: 0 } as const);
  const gone = isGivenUp ? `version ${model.rollout?.to} takes its place` : undefined;
  const reason = routed?.reason ?? version.condemned?.cause ?? gone;
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
