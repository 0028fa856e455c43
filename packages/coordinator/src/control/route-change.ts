/** What differs between two routing entries of a model: whether to publish, and what to tell people. Pure. */
import type { RoutingEntry } from '@troupe/shared';

/** Whether two entries say the same. Entries of the planner have their keys in one order. */
export function sameEntry(a: RoutingEntry, b: RoutingEntry): boolean {
  return JSON.stringify({ ...a, epoch: 0 }) === JSON.stringify({ ...b, epoch: 0 });
}

/** The change in one sentence; `undefined` where only counts or the epoch differ, which is no event. */
export function describeRouteChange(
  before: RoutingEntry | undefined,
  after: RoutingEntry,
): string | undefined {
  const changes: string[] = [];
  for (const [label, version] of Object.entries(after.labels)) {
    const old = before?.labels[label];
    if (old !== version) {
      changes.push(`${label} leads to version ${version}${old === undefined ? '' : ` instead of ${old}`}`);
    }
  }
  for (const label of Object.keys(before?.labels ?? {})) {
    if (!(label in after.labels)) changes.push(`label ${label} is gone`);
  }
  for (const [version, { state, reason }] of Object.entries(after.versions)) {
    if (before?.versions[version]?.state === state) continue;
    const why = state === 'unplaced' || state === 'failed' ? `: ${reason ?? 'unknown'}` : '';
    changes.push(`version ${version} is ${state}${why}`);
  }
  for (const version of Object.keys(before?.versions ?? {})) {
    if (!(version in after.versions)) changes.push(`version ${version} left the route`);
  }
  if (before !== undefined && describeWeights(before) !== describeWeights(after)) {
    changes.push(describeWeights(after) ?? 'all traffic goes where stable leads');
  }
  return changes.length === 0 ? undefined : changes.join('; ');
}

/** Shares of the traffic, where more than one version has some. */
function describeWeights({ weights }: RoutingEntry): string | undefined {
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  if (weights.length < 2 || total <= 0) return undefined;
  return weights
    .map(({ version, weight }) => `version ${version} gets ${Math.round((100 * weight) / total)} %`)
    .join(', ');
}
