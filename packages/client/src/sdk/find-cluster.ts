/**
 * Where NATS is, for who did not say: `NATS_URL`, then the nearest `.troupe/cluster.json` from the working directory
 * upwards (a local cluster writes it), then NATS' usual address. Reads files, connects to nothing.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EnvName, TroupeError } from '@troupe/shared';

/** Address of last resort. */
const usualServer = 'nats://127.0.0.1:4222';

/** Servers, and in words where they came from. */
export interface FoundCluster {
  readonly servers: string;
  readonly origin: string;
  /** The cluster's own namespace, where a file told it. */
  readonly namespace?: string;
}

/** Finds the cluster. Throws `config.invalid` where a cluster.json is there and cannot be used. */
export function findCluster(natsUrl: string | undefined, directory: string): FoundCluster {
  if (natsUrl !== undefined) return { servers: natsUrl, origin: EnvName.NatsUrl };
  for (let folder = directory; ; folder = dirname(folder)) {
    const path = join(folder, '.troupe', 'cluster.json');
    const text = readIfThere(path);
    if (text !== undefined) return parseClusterFile(path, text);
    if (dirname(folder) === folder) return { servers: usualServer, origin: 'the default' };
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // A folder that we may not look into holds no cluster of ours.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw new TroupeError('config.invalid', `${path} cannot be read: ${String(error)}`, { cause: error });
  }
}

function parseClusterFile(path: string, text: string): FoundCluster {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new TroupeError('config.invalid', `${path} is not JSON: remove it, or start the cluster again`, {
      cause: error,
    });
  }
  const { nats, namespace } = (content ?? {}) as { nats?: unknown; namespace?: unknown };
  if (typeof nats !== 'string' || nats === '') {
    throw new TroupeError(
      'config.invalid',
      `${path} has no address of NATS ("nats"): remove it, or start the cluster again`,
    );
  }
  return { servers: nats, origin: path, ...(typeof namespace === 'string' ? { namespace } : {}) };
}
