/**
 * What a worker decides by itself while its version is on probation (a rollout has not ended). Pure; asked by the
 * worker machine.
 *
 * On probation every death of the runner counts, also one that a lone request is to blame for: a version that good
 * requests bring down is what a rollout is there to find. A version that was condemned is never tried again by this
 * worker.
 */
import type { ModelVersion, Probation, WorkerReport } from '@troupe/shared';
import { acceptsSignature } from './signature-accepts.js';

/** The verdict over a version on one worker. */
export interface Condemnation {
  /** `candidate`: it never came so far as to serve. `order`: the leader said so. */
  readonly kind: NonNullable<WorkerReport['condemned']>['kind'];
  readonly cause: string;
  /** When it was condemned, on the machine's monotonic clock, in nanoseconds. */
  readonly atNs: bigint;
}

/** Whether so many deaths on probation are too many. */
export function isTooMany(probation: Probation, deaths: number): boolean {
  return deaths > probation.maxCrashes;
}

/** The version on which failed requests of this one are repeated: its standby, where that serves and takes its requests. */
export function repeatsOn(probation: Probation | undefined, version: ModelVersion): ModelVersion | undefined {
  const standby = probation?.alone === true ? undefined : probation?.standby;
  return standby !== undefined && acceptsSignature(standby.signature, version.signature)
    ? standby
    : undefined;
}

/** The verdict where the runner died too often. */
export function condemnForDeaths(
  deaths: number,
  hasServed: boolean,
  lastReason: string,
  atNs: bigint,
): Condemnation {
  const times = deaths === 1 ? 'once' : `${deaths} times`;
  return hasServed
    ? { kind: 'crash', cause: `its runner died ${times} on probation, at last: ${lastReason}`, atNs }
    : {
        kind: 'candidate',
        cause: `its runner died ${times} before it could serve, at last: ${lastReason}`,
        atNs,
      };
}
