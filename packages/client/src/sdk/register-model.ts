/**
 * Registers a version of a model: digest, upload unless the store has it, trial by the cluster, wait until it serves.
 * Idempotent by content: the same bytes and settings give the same version. Called by the client.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  decodeGoldenCase,
  defaults,
  type GoldenCase,
  parseModelName,
  Residency,
  TroupeError,
  type VersionLimits,
} from '@troupe/shared';
import type { ArtifactStore, RoutingView } from '@troupe/shared/nats';
import { parseRegistration, type RegistrationAnswer } from './cluster-answers.js';
import { assertOptionNames } from './connect-options.js';
import { describe } from './input-tensor.js';
import { waitUntilServing } from './wait-until-serving.js';

/** How far a registration has come. */
export type RegisterProgress =
  | { readonly phase: 'uploading'; readonly sentBytes: number; readonly totalBytes: number }
  /** The cluster tries the model in a process of its own: load, warm-up, golden cases, batching. */
  | { readonly phase: 'trying' }
  | { readonly phase: 'waiting'; readonly version: number };

/** A version to register: its artifact, as a file or as bytes, and its settings. */
export interface RegisterModelOptions {
  /** Letters, digits, `_` and `-`, at most 63. */
  readonly name: string;
  /** Path of the ONNX file. Either this or `bytes`. */
  readonly file?: string;
  readonly bytes?: Uint8Array;
  /** Cases that every device must pass before the version may serve there. */
  readonly golden?: readonly GoldenCase[];
  /** Rows of one run. Default 32 where the model is batchable; 1 is off. */
  readonly maxBatchSize?: number;
  /** How long the oldest request of a batch may wait for company, in milliseconds. Default 0. */
  readonly maxDelayMs?: number;
  /** Workers wanted for each served version of the model. Default 2. */
  readonly replicas?: number;
  readonly limits?: VersionLimits;
  /**
   * When the model is in memory. `always` (default): where there is room; `pinned`: always, and never given up for
   * another; `on_demand`: from the first request until none has come for `idleMs`; `prefetched`: as `on_demand`, with the
   * file on every host beforehand.
   */
  readonly residency?: Residency;
  /** How long a model on demand stays without a request, in milliseconds. Default the cluster's, 5 minutes. */
  readonly idleMs?: number;
  /** Told of each step: upload, trial, and how many workers serve it. */
  readonly onProgress?: (progress: RegisterProgress) => void;
  /** How long to wait for the version to serve, where a label has it served; 0: not at all. Default 130,000. */
  readonly waitUntilServingMs?: number;
}

/** What came of a registration. */
export interface RegisteredModel extends RegistrationAnswer {
  /** SHA-256 of the artifact. */
  readonly digest: string;
  readonly sizeBytes: number;
}

/** What a registration needs of its client. */
export interface RegisterContext {
  readonly view: RoutingView;
  readonly artifacts: ArtifactStore;
  call(
    noun: string,
    verb: string,
    args: Readonly<Record<string, unknown>>,
    timeoutMs: number,
  ): Promise<unknown>;
  maxPayloadBytes(): number;
  /** Rejects once the client closes, whatever becomes of the work. */
  whileOpen<T>(work: Promise<T>): Promise<T>;
}

/** Trial of a model with its load limit, and the coordinator's own work. */
const registerTimeoutMs = defaults.loadLimitMs + 30_000;
const defaultWaitMs = defaults.loadLimitMs + 10_000;

const optionNames = [
  'name',
  'file',
  'bytes',
  'golden',
  'maxBatchSize',
  'maxDelayMs',
  'replicas',
  'limits',
  'residency',
  'idleMs',
  'onProgress',
  'waitUntilServingMs',
];

/**
 * Registers; rejects with what the trial found (`model.*`), `request.arguments` for options or a file that cannot be
 * used, `artifact.unreachable`, `cluster.absent`, and what `waitUntilServing` throws.
 */
export async function registerModel(
  context: RegisterContext,
  options: RegisterModelOptions,
): Promise<RegisteredModel> {
  const checked = checkRegisterOptions(options);
  const tell = options.onProgress ?? (() => undefined);
  const bytes = await readArtifact(options);
  if (bytes.length === 0) throw new TroupeError('model.not_onnx', 'the model file is empty');
  const digest = createHash('sha256').update(bytes).digest('hex');
  const args = {
    ...checked.args,
    digest,
    sizeBytes: bytes.length,
  };
  assertFits(args, context.maxPayloadBytes());
  if (!(await context.whileOpen(context.artifacts.has(digest)))) {
    tell({ phase: 'uploading', sentBytes: 0, totalBytes: bytes.length });
    await context.whileOpen(
      context.artifacts.put(digest, bytes, (sentBytes) =>
        tell({ phase: 'uploading', sentBytes, totalBytes: bytes.length }),
      ),
    );
  }
  tell({ phase: 'trying' });
  const answer = parseRegistration(await context.call('models', 'register', args, registerTimeoutMs));
  if (checked.waitMs > 0 && answer.label !== undefined && options.replicas !== 0) {
    tell({ phase: 'waiting', version: answer.version });
    const wait = waitUntilServing(context.view, answer.model, answer.version, checked.waitMs);
    try {
      await context.whileOpen(wait.done);
    } finally {
      wait.stop();
    }
  }
  return { ...answer, digest, sizeBytes: bytes.length };
}

interface CheckedRegisterOptions {
  readonly args: Readonly<Record<string, unknown>>;
  readonly waitMs: number;
}

function checkRegisterOptions(options: RegisterModelOptions): CheckedRegisterOptions {
  assertOptionNames('registerModel', options, optionNames);
  const name = parseModelName(options.name);
  if ((options.file === undefined) === (options.bytes === undefined)) {
    throw refuse('registerModel takes either file or bytes: the ONNX model');
  }
  const { golden, limits, replicas } = options;
  if (golden !== undefined && !Array.isArray(golden))
    throw refuse(`golden is ${describe(golden)}: an array of cases is wanted`);
  for (const one of golden ?? []) decodeGoldenCase(one);
  const maxBatchSize = integer('maxBatchSize', options.maxBatchSize, 1, 65_536);
  const maxDelayMs = integer('maxDelayMs', options.maxDelayMs, 0, 60_000);
  const batching = {
    ...(maxBatchSize === undefined ? {} : { maxBatchSize }),
    ...(maxDelayMs === undefined ? {} : { maxDelayMs }),
  };
  const idleMs = integer('idleMs', options.idleMs, 100, 30 * 24 * 3_600_000);
  const residency = checkResidency(options.residency);
  const checkedReplicas = integer('replicas', replicas, 0, 1_000);
  return {
    args: {
      name,
      ...(golden === undefined ? {} : { golden: golden.map(plainGolden) }),
      ...(Object.keys(batching).length === 0 ? {} : { batching }),
      ...(limits === undefined ? {} : { limits }),
      ...(checkedReplicas === undefined ? {} : { replicas: checkedReplicas }),
      ...(residency === undefined ? {} : { residency }),
      ...(idleMs === undefined ? {} : { idleMs }),
    },
    waitMs: integer('waitUntilServingMs', options.waitUntilServingMs, 0, 3_600_000) ?? defaultWaitMs,
  };
}

function integer(option: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw refuse(`${option} is ${describe(value)}: a whole number from ${min} to ${max} is wanted`);
}

function checkResidency(value: unknown): Residency | undefined {
  if (value === undefined) return undefined;
  const words: readonly Residency[] = Object.values(Residency);
  const found = words.find((one) => one === value);
  if (found !== undefined) return found;
  throw refuse(`residency is ${describe(value)}: one of ${words.join(', ')} is wanted`);
}

/** A golden case that JSON holds without loss: bigints as decimal strings, NaN and infinities by name. */
function plainGolden(golden: GoldenCase): GoldenCase {
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))
      ? String(value)
      : value;
  };
  const tensors = (list: GoldenCase['inputs']) =>
    list.map((tensor) => ({ ...tensor, data: plain(tensor.data) as readonly unknown[] }));
  return { ...golden, inputs: tensors(golden.inputs), outputs: tensors(golden.outputs) };
}

/** A registration is one message; golden cases are what may make it a large one. */
function assertFits(args: Readonly<Record<string, unknown>>, limit: number): void {
  const size = Buffer.byteLength(JSON.stringify(args));
  if (size <= limit) return;
  throw new TroupeError(
    'request.too_large',
    `the registration has ${size} bytes with its golden cases, the server takes ${limit} (max_payload): give fewer or smaller cases`,
  );
}

async function readArtifact(options: RegisterModelOptions): Promise<Uint8Array> {
  if (options.bytes !== undefined) {
    if (options.bytes instanceof Uint8Array) return options.bytes;
    throw refuse(`bytes is ${describe(options.bytes)}: a Uint8Array is wanted`);
  }
  const { file } = options;
  if (typeof file !== 'string') throw refuse(`file is ${describe(file)}: a path is wanted`);
  try {
    return await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'it is a folder'
          : (error as Error).message;
    throw new TroupeError('request.arguments', `${file} cannot be read: ${why}`, { cause: error });
  }
}

function refuse(message: string): TroupeError {
  return new TroupeError('request.arguments', message);
}
