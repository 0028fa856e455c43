/** Keys under which the control plane remembers workers and versions; used by planner, ledger and loop alike. */

/** A version of a model. */
export interface VersionRef {
  readonly model: string;
  readonly version: number;
}

/** A place for a worker. */
export interface Position {
  readonly host: string;
  readonly device: string;
}

/** Key of a version: `iris/2`. No part of a key may hold a slash, so keys never collide. */
export function versionKey(ref: VersionRef): string {
  return `${ref.model}/${ref.version}`;
}

/** Key of a worker: `gpu-1/cuda:0/iris/2`. */
export function workerKey(position: Position, ref: VersionRef): string {
  return `${position.host}/${position.device}/${versionKey(ref)}`;
}

/** The version behind its key. */
export function parseVersionKey(key: string): VersionRef {
  const slash = key.lastIndexOf('/');
  return { model: key.slice(0, slash), version: Number(key.slice(slash + 1)) };
}
