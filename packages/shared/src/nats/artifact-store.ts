/**
 * Artifacts in the JetStream object store, named by their SHA-256. Fetched on a connection of their own, one at a
 * time: three at once on one connection get it cut as a slow consumer.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { connect, type NatsConnection, type ObjectStore, StorageType } from 'nats';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { isNoResponders, JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { natsAccessOptions } from './nats-access.js';
import type { NatsLink } from './nats-link.js';
import { hideCredentials, splitServers } from './server-address.js';
import { declareReplicated } from './stream-replicas.js';

/** Artifacts by digest (SHA-256, lower-case hex). */
export interface ArtifactStore {
  /** Stores the bytes under their digest; nothing happens where they are there. Rejects with `model.digest` where they differ. */
  put(digest: string, bytes: Uint8Array, onProgress?: (sentBytes: number) => void): Promise<void>;
  /**
   * Writes the artifact to a file: to a temporary one beside it, digest checked, then renamed.
   * Rejects with `artifact.missing`, `model.digest` or `artifact.unreachable`.
   */
  fetchTo(digest: string, filePath: string): Promise<void>;
  has(digest: string): Promise<boolean>;
  /** True where there was one. */
  delete(digest: string): Promise<boolean>;
  list(): Promise<string[]>;
  close(): Promise<void>;
}

const digestPattern = /^[0-9a-f]{64}$/;
const chunkBytes = 128 * 1024;
/** Without a chunk for this long a fetch is given up. */
const stallMs = 10_000;

function checkDigest(digest: string): void {
  if (!digestPattern.test(digest)) {
    throw new TroupeError('model.digest', 'a digest is a SHA-256 in 64 lower-case hex digits');
  }
}

function unreachable(error: unknown): TroupeError {
  return error instanceof TroupeError
    ? error
    : new TroupeError('artifact.unreachable', `the artifact store did not answer: ${String(error)}`, {
        cause: error,
      });
}

/** A stream over bytes in chunks, telling how far it got. */
function streamOf(
  bytes: Uint8Array,
  onProgress: ((sent: number) => void) | undefined,
): ReadableStream<Uint8Array> {
  let offset = 0;
  return new ReadableStream({
    pull(controller) {
      if (offset >= bytes.length) {
        controller.close();
        return;
      }
      const chunk = bytes.subarray(offset, offset + chunkBytes);
      offset += chunk.length;
      controller.enqueue(chunk);
      onProgress?.(offset);
    },
  });
}

/** Reads one chunk, giving up when none comes. */
async function readChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<Awaited<ReturnType<typeof reader.read>>> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(new TroupeError('artifact.unreachable', `the artifact store sent nothing for ${stallMs} ms`)),
      stallMs,
    );
  });
  try {
    return await Promise.race([reader.read(), stalled]);
  } finally {
    clearTimeout(timer);
  }
}

async function openBucket(link: NatsLink, connection: NatsConnection): Promise<ObjectStore> {
  const { views } = connection.jetstream({ timeout: 5_000 });
  return declareReplicated(link, (replicas) =>
    views.os(link.subjects.artifactsBucket, {
      storage: StorageType.File,
      description: 'Troupe artifacts by SHA-256',
      replicas,
    }),
  );
}

/** Declares the bucket; one that is there is left as it is. Rejects with what the library throws. */
export async function declareArtifactBucket(link: NatsLink): Promise<void> {
  try {
    await openBucket(link, link.connection);
  } catch (error) {
    // Somebody else was faster, with another number of copies.
    if (jetStreamCode(error) !== JetStreamCode.StreamNameInUse) throw error;
  }
}

/** Opens the store of a link. The bucket is declared at first use where it is not there. */
export function createArtifactStore(link: NatsLink): ArtifactStore {
  let bucket: Promise<ObjectStore> | undefined;
  let fetching: Promise<unknown> = Promise.resolve();
  let closed = false;

  async function ownBucket(): Promise<ObjectStore> {
    bucket ??= openBucket(link, link.connection);
    try {
      return await bucket;
    } catch (error) {
      bucket = undefined;
      throw unreachable(error);
    }
  }

  async function has(digest: string): Promise<boolean> {
    checkDigest(digest);
    const store = await ownBucket();
    try {
      const info = await store.info(digest);
      return info !== null && !info.deleted;
    } catch (error) {
      throw unreachable(error);
    }
  }

  async function fetchNow(digest: string, filePath: string): Promise<void> {
    if (closed) throw new TroupeError('artifact.unreachable', 'the artifact store was closed');
    const temporary = `${filePath}.${process.pid}.part`;
    let connection: NatsConnection | undefined;
    try {
      await mkdir(dirname(filePath), { recursive: true });
      connection = await connect({
        servers: splitServers(link.options.servers).map(hideCredentials),
        ...natsAccessOptions(splitServers(link.options.servers), link.options.access),
        name: `${link.options.name} artifacts`,
        timeout: 5_000,
        reconnect: false,
      });
      const result = await (await openBucket(link, connection)).get(digest);
      if (result === null) {
        throw new TroupeError('artifact.missing', `the artifact ${digest} is not in the artifact store`);
      }
      // The library reports its own digest check here; ours below is the one that counts.
      result.error.catch(() => undefined);
      const hash = createHash('sha256');
      const file = await open(temporary, 'w');
      const reader = result.data.getReader();
      try {
        for (;;) {
          const { done, value } = await readChunk(reader);
          if (done) break;
          hash.update(value);
          await file.write(value);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      const actual = hash.digest('hex');
      if (actual !== digest) {
        throw new TroupeError(
          'model.digest',
          `the artifact ${digest} came with other bytes (SHA-256 ${actual})`,
        );
      }
      await rename(temporary, filePath);
    } catch (error) {
      await rm(temporary, { force: true });
      throw unreachable(error);
    } finally {
      await connection?.close();
    }
  }

  return {
    async put(digest, bytes, onProgress) {
      checkDigest(digest);
      const actual = createHash('sha256').update(bytes).digest('hex');
      if (actual !== digest)
        throw new TroupeError('model.digest', `the bytes have the SHA-256 ${actual}, not ${digest}`);
      if (await has(digest)) return;
      const store = await ownBucket();
      try {
        await store.put(
          { name: digest, options: { max_chunk_size: chunkBytes } },
          streamOf(bytes, onProgress),
        );
      } catch (error) {
        throw unreachable(error);
      }
    },
    fetchTo(digest, filePath) {
      checkDigest(digest);
      const turn = fetching.then(() => fetchNow(digest, filePath));
      fetching = turn.catch(() => undefined);
      return turn;
    },
    has,
    async delete(digest) {
      checkDigest(digest);
      if (!(await has(digest))) return false;
      const store = await ownBucket();
      try {
        return (await store.delete(digest)).success;
      } catch (error) {
        if (jetStreamCode(error) === JetStreamCode.MessageNotFound || isNoResponders(error)) return false;
        throw asTroupeError(error, 'artifact.unreachable');
      }
    },
    async list() {
      const store = await ownBucket();
      try {
        return (await store.list()).filter((info) => !info.deleted).map((info) => info.name);
      } catch (error) {
        throw unreachable(error);
      }
    },
    async close() {
      closed = true;
      await fetching;
    },
  };
}
