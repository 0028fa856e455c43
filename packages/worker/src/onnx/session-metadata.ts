/**
 * Reads the signature of a loaded model from ONNX Runtime's metadata. Pure.
 *
 * The metadata is not enough by itself: an empty shape means a scalar or an unknown rank, which only the model file
 * can tell (`rankIsKnown`). It also lists INT4 and UINT4, whose tensors end the process at the first run.
 */
import { type Datatype, type Signature, type TensorSpec, TroupeError } from '@troupe/shared';
import type { InferenceSession } from 'onnxruntime-node';

type ValueMetadata = InferenceSession.ValueMetadata;

/** What a session says about its model. */
export interface SessionMetadata {
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
}

/** Dimensions as the runtime names them: sizes, symbols, '' for a variable one without a name. */
export type NamedDims = readonly (number | string)[];

/** A model as loaded: its signature, and the names of its variable dimensions. */
export interface LoadedModel {
  readonly signature: Signature;
  /** In the order of the signature; `undefined` where the rank is unknown. */
  readonly inputDims: readonly (NamedDims | undefined)[];
  readonly outputDims: readonly (NamedDims | undefined)[];
}

/** ONNX Runtime's type names and ours. Those that are missing cannot be held by its JavaScript API. */
export const datatypeOfRuntimeType: Readonly<Record<string, Datatype>> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
};

/**
 * Signature and dimension names of a session. Outputs that are no tensors are left out.
 * Throws `model.input_unsupported`, `model.no_tensor_output`, `model.datatype_unsupported`.
 */
export function readLoadedModel(
  metadata: SessionMetadata,
  rankIsKnown: (role: 'input' | 'output', name: string) => boolean,
): LoadedModel {
  const inputs = metadata.inputMetadata.map((value) => {
    if (value.isTensor) return readTensor('input', value, rankIsKnown);
    throw new TroupeError(
      'model.input_unsupported',
      `input '${value.name}' is no tensor (a sequence, map or optional); only tensors can be sent`,
    );
  });
  const outputs = metadata.outputMetadata.flatMap((value) =>
    value.isTensor ? [readTensor('output', value, rankIsKnown)] : [],
  );
  if (outputs.length === 0) {
    throw new TroupeError('model.no_tensor_output', 'the model has no tensor among its outputs');
  }
  return {
    signature: { inputs: inputs.map(({ spec }) => spec), outputs: outputs.map(({ spec }) => spec) },
    inputDims: inputs.map(({ dims }) => dims),
    outputDims: outputs.map(({ dims }) => dims),
  };
}

function readTensor(
  role: 'input' | 'output',
  value: InferenceSession.TensorValueMetadata,
  rankIsKnown: (role: 'input' | 'output', name: string) => boolean,
): { spec: TensorSpec; dims: NamedDims | undefined } {
  const datatype = datatypeOfRuntimeType[value.type];
  if (datatype === undefined) {
    throw new TroupeError(
      'model.datatype_unsupported',
      `${role} '${value.name}' has element type ${value.type.toUpperCase()}, which cannot be served`,
    );
  }
  const dims = value.shape.length > 0 || rankIsKnown(role, value.name) ? value.shape : undefined;
  const shape = dims?.map((dim) => (typeof dim === 'number' ? dim : -1));
  return { spec: { name: value.name, datatype, shape }, dims };
}
