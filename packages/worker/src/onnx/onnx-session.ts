/**
 * One ONNX Runtime session: the only file that calls the runtime. Used by the session thread of a runner and by the
 * trial process; creating and running both block their thread to the end, so nobody with a clock of its own calls it.
 */
import { readFile } from 'node:fs/promises';
import { type Datatype, type Device, type Signature, type Tensor, TroupeError, viewAs } from '@troupe/shared';
import { scanModel } from '@troupe/shared/onnx';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { sessionOptions } from './execution-provider.js';
import { halfTensor } from './half-tensor.js';
import { loadError, runError } from './runtime-error.js';
import { datatypeOfRuntimeType, type LoadedModel, readLoadedModel } from './session-metadata.js';

/** What to load and where. */
export interface SessionSource {
  /** Loaded by path: external data would be looked for in the working directory otherwise. */
  readonly modelPath: string;
  readonly device: Device;
  readonly intraOpThreads: number;
  /** Where the signature is known already: saves reading the file a second time for what metadata cannot tell. */
  readonly signature?: Signature;
}

/** A loaded model. */
export interface OnnxSession {
  readonly model: LoadedModel;
  /**
   * Runs on row-major little-endian tensors. Resolves with the named outputs, in that order; each owns its memory.
   * Rejects with `model.run_failed` and the like.
   */
  run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]>;
  release(): Promise<void>;
}

const runtimeTypes = Object.fromEntries(
  Object.entries(datatypeOfRuntimeType).map(([runtimeType, datatype]) => [datatype, runtimeType]),
) as Record<Datatype, RuntimeTensor.Type>;

/** Creates a session. Rejects with a TroupeError, `fallback` where the runtime's words are not known. */
export async function openSession(
  source: SessionSource,
  fallback: 'model.load_failed' | 'model.trial_failed',
): Promise<OnnxSession> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(
      source.modelPath,
      sessionOptions(source.device, source.intraOpThreads),
    );
  } catch (thrown) {
    throw loadError(thrown, fallback);
  }
  try {
    const model = readLoadedModel(session, await rankReader(session, source));
    return {
      model,
      run: (inputs, outputNames) => run(session, inputs, outputNames),
      release: () => session.release(),
    };
  } catch (thrown) {
    await session.release();
    throw thrown;
  }
}

/** Tells a scalar from an unknown rank: from the known signature, else from the file, read only where it matters. */
async function rankReader(
  session: InferenceSession,
  source: SessionSource,
): Promise<(role: 'input' | 'output', name: string) => boolean> {
  const { signature } = source;
  if (signature !== undefined) {
    return (role, name) => signature[`${role}s`].find((spec) => spec.name === name)?.shape !== undefined;
  }
  const isUnclear = (value: InferenceSession.ValueMetadata) => value.isTensor && value.shape.length === 0;
  if (![...session.inputMetadata, ...session.outputMetadata].some(isUnclear)) return () => true;
  const scan = scanModel(await readFile(source.modelPath));
  if (scan.kind !== 'model') return () => false;
  return (role, name) => scan[`${role}s`].find((value) => value.name === name)?.dims !== undefined;
}

async function run(
  session: InferenceSession,
  inputs: readonly Tensor[],
  outputNames: readonly string[],
): Promise<readonly Tensor[]> {
  let results: InferenceSession.OnnxValueMapType;
  try {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const input of inputs) feeds[input.name] = toRuntimeTensor(input);
    results = await session.run(feeds, outputNames);
  } catch (thrown) {
    throw runError(thrown);
  }
  return outputNames.map((name) => fromRuntimeTensor(name, results[name]));
}

function toRuntimeTensor(tensor: Tensor): RuntimeTensor {
  const { datatype, data, shape } = tensor;
  if (datatype === 'BYTES') return new RuntimeTensor('string', data as string[], shape);
  if (datatype === 'FP16') return halfTensor(viewAs('FP16', data as Uint8Array), shape);
  // The constructor's overloads tie each type to its array; `viewAs` does the same for ours.
  return new RuntimeTensor(
    runtimeTypes[datatype] as 'float32',
    viewAs(datatype, data as Uint8Array) as Float32Array,
    shape,
  );
}

function fromRuntimeTensor(
  name: string,
  value: InferenceSession.OnnxValueMapType[string] | undefined,
): Tensor {
  const datatype = value === undefined ? undefined : datatypeOfRuntimeType[value.type];
  if (value === undefined || datatype === undefined) {
    throw new TroupeError('model.output_invalid', `the run gave no servable tensor for output '${name}'`);
  }
  const { data } = value;
  return {
    name,
    datatype,
    shape: [...value.dims],
    data:
      datatype === 'BYTES'
        ? (data as string[])
        : new Uint8Array(
            (data as Uint8Array).buffer,
            (data as Uint8Array).byteOffset,
            (data as Uint8Array).byteLength,
          ),
  };
}
