/** Choosing a version from a routing entry. Choosing is apart from sending: doors call this, then submit. */
import { TroupeError } from '../errors/troupe-error.js';
import type { RouteVersion, RoutingEntry } from './routing-entry.js';

/** What the caller asked for; the first that is there counts: version, label, sticky key, weights. */
export interface VersionSelector {
  readonly version?: number | undefined;
  readonly label?: string | undefined;
  /** Requests with the same key go to the same version while the weights stay. */
  readonly sticky?: string | undefined;
}

/** The version that a request goes to. */
export interface PickedVersion {
  readonly version: number;
  readonly route: RouteVersion;
  /** Whether the caller named the version itself. */
  readonly pinned: boolean;
}

/** FNV-1a, 32 bits: spreads sticky keys evenly enough and is the same in every process. */
function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

function pickByWeight(
  entry: RoutingEntry,
  sticky: string | undefined,
  random: () => number,
): number | undefined {
  const total = entry.weights.reduce((sum, { weight }) => sum + weight, 0);
  if (total <= 0) return undefined;
  const only = entry.weights.length === 1 ? entry.weights[0] : undefined;
  if (only !== undefined) return only.version;
  let point = (sticky === undefined ? random() : hashKey(sticky) / 2 ** 32) * total;
  for (const { version, weight } of entry.weights) {
    point -= weight;
    if (point < 0) return version;
  }
  return entry.weights.at(-1)?.version;
}

function servedVersions(entry: RoutingEntry): string {
  const served = Object.keys(entry.versions);
  return served.length === 0 ? 'none is' : `served: ${served.join(', ')}`;
}

/**
 * Picks the version of a request. Throws `model.version_unknown`, `model.label_unknown`, `placement.no_slot`,
 * `placement.no_memory` or `model.version_unavailable`: a subject without a consumer would get a normal PubAck and never an answer.
 */
export function pickVersion(
  entry: RoutingEntry,
  selector: VersionSelector,
  random: () => number = Math.random,
): PickedVersion {
  let version: number | undefined;
  if (selector.version !== undefined) {
    version = selector.version;
  } else if (selector.label !== undefined) {
    version = Object.hasOwn(entry.labels, selector.label) ? entry.labels[selector.label] : undefined;
    if (version === undefined) {
      const labels = Object.keys(entry.labels).join(', ');
      throw new TroupeError(
        'model.label_unknown',
        `model ${entry.model} has no label "${selector.label}" (labels: ${labels === '' ? 'none' : labels})`,
      );
    }
  } else {
    version = pickByWeight(entry, selector.sticky, random);
    if (version === undefined) {
      throw new TroupeError(
        'model.version_unavailable',
        `model ${entry.model} has no default version: name a version or label, or set the label stable (${servedVersions(entry)})`,
      );
    }
  }
  const route = entry.versions[String(version)];
  if (route === undefined) {
    throw new TroupeError(
      'model.version_unknown',
      `version ${version} of model ${entry.model} is not served (${servedVersions(entry)}): give it a label to have it served`,
    );
  }
  if (route.state === 'unplaced') {
    throw new TroupeError(
      route.shortOf === 'memory' ? 'placement.no_memory' : 'placement.no_slot',
      `model ${entry.model} version ${version} has no worker: ${route.reason ?? 'no slot is free'}`,
      { retryAfterMs: 1_000 },
    );
  }
  if (route.state === 'failed') {
    throw new TroupeError(
      'model.version_unavailable',
      `model ${entry.model} version ${version} cannot be served: ${route.reason ?? 'its load failed'}`,
    );
  }
  return { version, route, pinned: selector.version !== undefined };
}
