/**
 * Brings one file into the cluster: uploads it where the artifact store lacks it, has it registered, and rolls it out
 * where it is not the model's first version. Idempotent by content. Called by `folder-watch.ts`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { defaults, RolloutStrategy, TroupeError } from '@troupe/shared';
import { type ArtifactStore, callAdmin, type NatsLink } from '@troupe/shared/nats';
import type { WatchedModel } from './model-folder.js';

export interface PutLiveContext {
  readonly link: NatsLink;
  readonly artifacts: Pick<ArtifactStore, 'has' | 'put'>;
}

/** What came of it: `live` with its version and whether anything had to change. */
export interface PutLiveOutcome {
  readonly version: number;
  readonly digest: string;
  readonly change: 'none' | 'first' | 'rollout';
}

/** Trial of a model with its load limit, and the coordinator's own work. */
const registerTimeoutMs = defaults.loadLimitMs + 30_000;

/** Short: who works on a file waits for the next one to be taken. A rollout by hand bakes longer. */
const bakeMs = 10_000;

/** Nothing is wrong with the file: the cluster is not there, is busy, or rolls something else out. */
const passing: ReadonlySet<string> = new Set([
  'rollout.active',
  'queue.full',
  'placement.no_host',
  'registry.conflict',
  'request.deadline',
]);

/** Whether the same file may do later. */
export function isPassing(error: TroupeError): boolean {
  return error.retryable || passing.has(error.reason);
}

/** SHA-256 of a file and its bytes. Throws `request.arguments` where it cannot be read. */
export async function readArtifact(path: string): Promise<{ bytes: Uint8Array; digest: string }> {
  try {
    const bytes = await readFile(path);
    return { bytes, digest: createHash('sha256').update(bytes).digest('hex') };
  } catch (cause) {
    throw new TroupeError('request.arguments', `${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Registers and rolls out. Rejects with what the trial or the rollout's checks found, and with `isPassing` errors. */
export async function putLive(
  { link, artifacts }: PutLiveContext,
  { model }: WatchedModel,
  { bytes, digest }: { readonly bytes: Uint8Array; readonly digest: string },
): Promise<PutLiveOutcome> {
  if (bytes.length === 0) throw new TroupeError('model.not_onnx', 'the model file is empty');
  if (!(await artifacts.has(digest))) await artifacts.put(digest, bytes);
  const answer = (await callAdmin(
    link,
    'models',
    'register',
    { name: model, digest, sizeBytes: bytes.length },
    { timeoutMs: registerTimeoutMs },
  )) as { version: number; created: boolean; label?: string };
  const { version } = answer;
  if (answer.label === 'stable') return { version, digest, change: answer.created ? 'first' : 'none' };
  await callAdmin(link, 'rollout', 'start', {
    model,
    version,
    strategy: RolloutStrategy.Immediate,
    bakeMs,
  });
  return { version, digest, change: 'rollout' };
}
