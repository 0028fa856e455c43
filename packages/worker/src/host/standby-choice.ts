/** Which version covers for one that cannot serve, in a runner of its own. Pure. */
import type { ModelVersion } from '@troupe/shared';
import { acceptsSignature } from './signature-accepts.js';
import type { StandbyWanted } from './worker-ports.js';

/**
 * The first of: the host's last stable snapshot (it is on the disk), the version that stands by, the declared light
 * variant. Only versions whose signature accepts the assigned one's requests, and none that has failed at it.
 */
export function findStandby(
  { assignment, except }: StandbyWanted,
  snapshot: ModelVersion | undefined,
): ModelVersion | undefined {
  const { light, probation, version } = assignment;
  return [snapshot, probation?.standby, light].find(
    (candidate) =>
      candidate !== undefined &&
      candidate.version !== version.version &&
      !except.includes(candidate.version) &&
      acceptsSignature(candidate.signature, version.signature),
  );
}
