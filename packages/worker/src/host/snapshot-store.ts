/**
 * The artifacts of a host on its own disk, and which version of each model last served healthily, so that it can be
 * brought back with Redis and the artifact store gone. Owned by the host; runners only read its files.
 *
 *   blobs/sha256/<digest>               the artifact
 *   models/<model>/<version>/model.onnx hard link to it: what a runner opens
 *   models/<model>/stable.json          the last stable version, and the one before it (wire format: read by later releases)
 *
 * 1. A path that `ensure` returns has the right bytes: they were hashed in this life of the process.
 * 2. `stable.json` names only a version whose artifact and link were on the disk before it.
 * 3. A crash between any two steps leaves the old record or the new one, each complete.
 */
import { join } from 'node:path';
import { asTroupeError, type Log, type ModelVersion, parseModelName, TroupeError } from '@troupe/shared';
import { realStoreFiles, type StoreFiles } from './store-files.js';

export interface SnapshotStoreOptions {
  /** Data folder of the host, which the host has locked. */
  readonly dir: string;
  /** Fetches an artifact into a file, with its digest checked. */
  readonly fetchTo: (digest: string, path: string) => Promise<void>;
  readonly log: Log;
  readonly files?: StoreFiles;
}

export interface SnapshotStore {
  /** Clears what a crash left half done and reads the stable records. */
  open(): Promise<void>;
  /** The artifact alone, verified. Rejects with `artifact.missing`, `artifact.unreachable` or `model.digest`. */
  ensureBlob(digest: string, sizeBytes: number): Promise<string>;
  /** The artifact under its model's name: what a runner opens. Rejects as `ensureBlob`. */
  ensure(model: string, version: ModelVersion): Promise<string>;
  /** The version of the model that last served healthily on this host. */
  stable(model: string): ModelVersion | undefined;
  /** Makes the version the model's stable one, durably. */
  recordStable(model: string, version: ModelVersion): Promise<void>;
  /** Where the version is the model's stable one, the one before it is again, durably; else nothing changes. */
  withdrawStable(model: string, version: number): Promise<void>;
  /** Removes one artifact, unless a stable version is made of it or `inUse` names it; its links go with it. */
  discard(digest: string, inUse: ReadonlySet<string>): Promise<void>;
  /** Discards every artifact that was not used for `unusedForMs`; returns how many. */
  collect(inUse: ReadonlySet<string>, unusedForMs: number): Promise<number>;
}

const digestPattern = /^[0-9a-f]{64}$/;
const versionPattern = /^[1-9][0-9]*$/;
const artifactName = 'model.onnx';

interface StableRecord {
  readonly version: ModelVersion;
  /** Stable before it: it is again where this one turns out to be bad. */
  readonly before?: ModelVersion;
}

function isComplete(version: ModelVersion | undefined): version is ModelVersion {
  return (
    version !== undefined &&
    Number.isSafeInteger(version.version) &&
    digestPattern.test(version.digest) &&
    Array.isArray(version.signature.inputs) &&
    Array.isArray(version.signature.outputs)
  );
}

function parseStable(text: string): StableRecord | undefined {
  try {
    const { before, version } = JSON.parse(text) as Partial<StableRecord>;
    if (!isComplete(version)) return undefined;
    return { version, ...(isComplete(before) ? { before } : {}) };
  } catch {
    return undefined; // not a record of ours; the next one replaces it
  }
}

/** Opens nothing yet: `open()` does. */
export function createSnapshotStore(options: SnapshotStoreOptions): SnapshotStore {
  const files = options.files ?? realStoreFiles;
  const blobDir = join(options.dir, 'blobs', 'sha256');
  const modelsDir = join(options.dir, 'models');
  const stableRecords = new Map<string, StableRecord>();
  /** Blobs hashed in this life, or being so: concurrent callers share one fetch. */
  const verified = new Map<string, Promise<string>>();
  /** Those of them that are done. */
  const atHand = new Set<string>();
  let writing: Promise<unknown> = Promise.resolve();

  const blobPath = (digest: string) => join(blobDir, digest);
  const stablePath = (model: string) => join(modelsDir, model, 'stable.json');

  /** Records are written one after another. */
  function inTurn<T>(write: () => Promise<T>): Promise<T> {
    const turn = writing.then(write);
    writing = turn.catch(() => undefined);
    return turn;
  }

  async function fetchVerified(digest: string, sizeBytes: number): Promise<string> {
    const path = blobPath(digest);
    const found = await files.stat(path);
    if (found !== undefined) {
      if (found.sizeBytes === sizeBytes && (await files.digest(path)) === digest) return path;
      options.log.warn({ digest }, 'an artifact on disk is damaged and is fetched again');
      await files.remove(path);
    }
    await options.fetchTo(digest, path);
    const fetched = await files.stat(path);
    if (fetched?.sizeBytes !== sizeBytes) {
      throw new TroupeError(
        'model.digest',
        `the artifact ${digest} has ${fetched?.sizeBytes ?? 0} bytes instead of ${sizeBytes}`,
      );
    }
    return path;
  }

  async function ensureBlob(digest: string, sizeBytes: number): Promise<string> {
    if (!digestPattern.test(digest)) {
      throw new TroupeError('model.digest', 'a digest is a SHA-256 in 64 lower-case hex digits');
    }
    const path = blobPath(digest);
    // Verified before, but gone since: somebody cleared the folder under us.
    if (atHand.has(digest) && (await files.stat(path)) === undefined && atHand.delete(digest)) {
      verified.delete(digest);
    }
    let known = verified.get(digest);
    if (known === undefined) {
      known = fetchVerified(digest, sizeBytes);
      verified.set(digest, known);
    }
    try {
      await known;
      atHand.add(digest);
      await files.touch(path);
      return path;
    } catch (thrown) {
      if (verified.get(digest) === known) verified.delete(digest);
      throw asTroupeError(thrown, 'artifact.unreachable');
    }
  }

  async function ensure(model: string, version: ModelVersion): Promise<string> {
    const blob = await ensureBlob(version.digest, version.sizeBytes);
    const dir = join(modelsDir, parseModelName(model), String(version.version));
    return inTurn(async () => {
      const path = join(dir, artifactName);
      const [wanted, found] = [await files.stat(blob), await files.stat(path)];
      if (wanted !== undefined && found?.inode === wanted.inode) return path;
      await files.makeDir(dir);
      const draft = `${path}.new`;
      await files.remove(draft);
      await files.link(blob, draft);
      await files.rename(draft, path);
      return path;
    });
  }

  async function writeStable(model: string, record: StableRecord): Promise<void> {
    const modelDir = join(modelsDir, model);
    const draft = `${stablePath(model)}.new`;
    await files.writeSynced(draft, JSON.stringify({ model, ...record }));
    await files.rename(draft, stablePath(model));
    await files.sync(modelDir);
  }

  async function recordStable(model: string, version: ModelVersion): Promise<void> {
    const path = await ensure(model, version);
    await inTurn(async () => {
      await files.sync(path);
      await files.sync(blobDir);
      await files.sync(join(modelsDir, model, String(version.version)));
      const last = stableRecords.get(model);
      const before = last?.version.version === version.version ? last.before : last?.version;
      const record = { version, ...(before === undefined ? {} : { before }) };
      await writeStable(model, record);
      await files.sync(modelsDir);
      stableRecords.set(model, record);
    });
  }

  async function withdrawStable(model: string, version: number): Promise<void> {
    await inTurn(async () => {
      const last = stableRecords.get(model);
      if (last?.version.version !== version) return;
      if (last.before !== undefined) {
        const record = { version: last.before };
        await writeStable(model, record);
        stableRecords.set(model, record);
        return;
      }
      await files.remove(stablePath(model));
      await files.sync(join(modelsDir, model));
      stableRecords.delete(model);
    });
  }

  function isStable(digest: string): boolean {
    for (const { before, version } of stableRecords.values()) {
      if (version.digest === digest || before?.digest === digest) return true;
    }
    return false;
  }

  async function removeLinks(inode: number): Promise<void> {
    for (const model of await files.list(modelsDir)) {
      for (const version of await files.list(join(modelsDir, model))) {
        if (!versionPattern.test(version)) continue;
        const dir = join(modelsDir, model, version);
        if ((await files.stat(join(dir, artifactName)))?.inode === inode) await files.remove(dir);
      }
    }
  }

  async function discard(digest: string, inUse: ReadonlySet<string>): Promise<void> {
    await inTurn(async () => {
      if (isStable(digest) || inUse.has(digest)) return;
      const path = blobPath(digest);
      const found = await files.stat(path);
      if (found === undefined) return;
      verified.delete(digest);
      atHand.delete(digest);
      await removeLinks(found.inode);
      await files.remove(path);
    });
  }

  return {
    async open() {
      await files.makeDir(blobDir);
      await files.makeDir(modelsDir);
      for (const name of await files.list(blobDir)) {
        // A fetch that a crash cut off; whatever has a digest for a name is verified before its use.
        if (!digestPattern.test(name)) await files.remove(join(blobDir, name));
      }
      for (const model of await files.list(modelsDir)) {
        await files.remove(`${stablePath(model)}.new`);
        const text = await files.read(stablePath(model));
        const record = text === undefined ? undefined : parseStable(text);
        if (record !== undefined) stableRecords.set(model, record);
        else if (text !== undefined) options.log.warn({ model }, 'the stable record cannot be read');
      }
    },
    ensureBlob,
    ensure,
    stable: (model) => stableRecords.get(model)?.version,
    recordStable,
    withdrawStable,
    discard,
    async collect(inUse, unusedForMs) {
      const before = Date.now() - unusedForMs;
      let removed = 0;
      for (const name of await files.list(blobDir)) {
        const found = await files.stat(join(blobDir, name));
        if (found === undefined || found.modifiedAtMs > before || inUse.has(name) || isStable(name)) continue;
        await discard(name, inUse);
        removed += 1;
      }
      return removed;
    },
  };
}
