/**
 * Pre-scan of an untrusted model file: reads what a model declares, without its weights and without a runtime.
 *
 * Called at registration, before the file is tried in a process of its own. Work is linear in the size of the
 * file and bounded (see message-walk.ts), and nothing is thrown: whatever the bytes, the answer is a ModelScan. A
 * clean scan is no promise that a runtime loads the model.
 */

import type { FieldHandlers, MessageWalk as Walk } from './message-walk.js';
import { integer, MessageWalk, nested, text, WalkLimitError } from './message-walk.js';
import type { ModelScan, ScannedExternalData, ScannedOperator, ScannedValue } from './model-scan.js';
import type { ModelDim } from './onnx-schema.js';
import {
  attributeFields,
  dimensionFields,
  elementTypeOfCode,
  entryFields,
  externalDataLocation,
  functionFields,
  graphFields,
  modelFields,
  nodeFields,
  opsetFields,
  shapeFields,
  sparseTensorFields,
  tensorFields,
  tensorTypeFields,
  trainingInfoFields,
  typeFields,
  valueInfoFields,
} from './onnx-schema.js';

/** Reads what a model file declares. */
export function scanModel(bytes: Uint8Array): ModelScan {
  if (bytes.length === 0) {
    return { kind: 'empty', message: 'the model file is empty' };
  }
  const prefix = new TextDecoder('latin1').decode(bytes.subarray(0, 64));
  if (prefix.startsWith('version https://git-lfs.')) {
    return {
      kind: 'git_lfs_pointer',
      message: 'this is a Git LFS pointer, not the model itself: fetch it with git lfs pull',
    };
  }
  // A flatbuffer carries its file identifier after the offset of its root.
  if (prefix.startsWith('ORTM', 4)) {
    return {
      kind: 'not_protobuf',
      message: 'this is a model in ORT format: register the .onnx file instead',
    };
  }

  const collected = new Collected();
  try {
    new MessageWalk(bytes).root(modelHandlers, collected);
  } catch (error) {
    if (error instanceof WalkLimitError) {
      return { kind: 'too_complex', message: `the model is beyond what is read: ${error.message}` };
    }
    const cause = error instanceof Error ? error.message : String(error);
    return collected.irVersion === undefined
      ? { kind: 'not_protobuf', message: `this is not an ONNX file: it does not read as protobuf (${cause})` }
      : { kind: 'damaged', message: `the model file is cut short or damaged (${cause})` };
  }
  return collected.finish();
}

/** What the walk has gathered so far. Messages that occur twice are merged, as protobuf defines it. */
class Collected {
  irVersion: number | undefined;
  hasGraph = false;
  nodeCount = 0;
  readonly opsetImports: { domain: string; version: number }[] = [];
  readonly operators = new Map<string, ScannedOperator>();
  readonly functions: ScannedOperator[] = [];
  readonly inputs: ScannedValue[] = [];
  readonly outputs: ScannedValue[] = [];
  readonly initializerNames = new Set<string>();
  readonly externalData: ScannedExternalData[] = [];

  finish(): ModelScan {
    if (!this.hasGraph) {
      return { kind: 'not_onnx', message: 'this is not an ONNX model: it holds no graph' };
    }
    if (this.irVersion === undefined) {
      return { kind: 'not_onnx', message: 'this is not an ONNX model: it states no IR version' };
    }
    return {
      kind: 'model',
      irVersion: this.irVersion,
      opsetImports: this.opsetImports,
      operators: [...this.operators.values()],
      functions: this.functions,
      inputs: this.inputs.filter((input) => !this.initializerNames.has(input.name)),
      outputs: this.outputs,
      nodeCount: this.nodeCount,
      externalData: this.externalData,
    };
  }
}

/** A name that a message states, and where to note what else is found in it. */
interface Named {
  name: string;
  domain: string;
  readonly collected: Collected;
}

const modelHandlers: FieldHandlers<Collected> = {
  [modelFields.irVersion]: integer((collected, value) => {
    collected.irVersion = value;
  }),
  [modelFields.opsetImport]: nested((walk, collected) => {
    const opset = { domain: '', version: 0 };
    walk.nested(opsetHandlers, opset);
    collected.opsetImports.push(opset);
  }),
  [modelFields.graph]: nested((walk, collected) => {
    collected.hasGraph = true;
    walk.nested(mainGraphHandlers, collected);
  }),
  [modelFields.trainingInfo]: nested((walk, collected) => walk.nested(trainingInfoHandlers, collected)),
  [modelFields.functions]: nested((walk, collected) => {
    const state = { name: '', domain: '', collected };
    walk.nested(functionHandlers, state);
    collected.functions.push({ domain: state.domain, name: state.name });
  }),
};

const opsetHandlers: FieldHandlers<{ domain: string; version: number }> = {
  [opsetFields.domain]: text((opset, value) => {
    opset.domain = standardDomain(value);
  }),
  [opsetFields.version]: integer((opset, value) => {
    opset.version = value;
  }),
};

/** What matters in every graph, the model's own and those inside nodes. */
const graphHandlers: FieldHandlers<Collected> = {
  [graphFields.node]: nested((walk, collected) => readNode(walk, collected)),
  [graphFields.initializer]: nested((walk, collected) => readTensor(walk, collected)),
  [graphFields.sparseInitializer]: nested((walk, collected) => readSparseTensor(walk, collected)),
};

const mainGraphHandlers: FieldHandlers<Collected> = {
  ...graphHandlers,
  [graphFields.input]: nested((walk, collected) => collected.inputs.push(readValue(walk))),
  [graphFields.output]: nested((walk, collected) => collected.outputs.push(readValue(walk))),
  [graphFields.initializer]: nested((walk, collected) =>
    collected.initializerNames.add(readTensor(walk, collected)),
  ),
  [graphFields.sparseInitializer]: nested((walk, collected) =>
    collected.initializerNames.add(readSparseTensor(walk, collected)),
  ),
};

const innerGraph = nested((walk, collected: Collected) => walk.nested(graphHandlers, collected));

const trainingInfoHandlers: FieldHandlers<Collected> = {
  [trainingInfoFields.initialization]: innerGraph,
  [trainingInfoFields.algorithm]: innerGraph,
};

const functionHandlers: FieldHandlers<Named> = {
  [functionFields.name]: text((state, value) => {
    state.name = value;
  }),
  [functionFields.domain]: text((state, value) => {
    state.domain = standardDomain(value);
  }),
  [functionFields.node]: nested((walk, { collected }) => readNode(walk, collected)),
  [functionFields.attributeProto]: nested((walk, { collected }) => walk.nested(attributeHandlers, collected)),
};

function readNode(walk: Walk, collected: Collected): void {
  const state = { name: '', domain: '', collected };
  walk.nested(nodeHandlers, state);
  collected.nodeCount += 1;
  const { domain, name } = state;
  const key = `${domain.length} ${domain}${name}`;
  if (!collected.operators.has(key)) {
    collected.operators.set(key, { domain, name });
  }
}

const nodeHandlers: FieldHandlers<Named> = {
  [nodeFields.opType]: text((state, value) => {
    state.name = value;
  }),
  [nodeFields.domain]: text((state, value) => {
    state.domain = standardDomain(value);
  }),
  [nodeFields.attribute]: nested((walk, { collected }) => walk.nested(attributeHandlers, collected)),
};

const attributeTensor = nested((walk, collected: Collected) => readTensor(walk, collected));
const attributeSparseTensor = nested((walk, collected: Collected) => readSparseTensor(walk, collected));

const attributeHandlers: FieldHandlers<Collected> = {
  [attributeFields.graph]: innerGraph,
  [attributeFields.graphs]: innerGraph,
  [attributeFields.tensor]: attributeTensor,
  [attributeFields.tensors]: attributeTensor,
  [attributeFields.sparseTensor]: attributeSparseTensor,
  [attributeFields.sparseTensors]: attributeSparseTensor,
};

interface TensorState {
  name: string;
  dataLocation: number;
  readonly entries: Map<string, string>;
}

/** Notes where a constant's values are, and returns its name. */
function readTensor(walk: Walk, collected: Collected): string {
  const state: TensorState = { name: '', dataLocation: 0, entries: new Map() };
  walk.nested(tensorHandlers, state);
  const { name, dataLocation, entries } = state;
  if (dataLocation === externalDataLocation || entries.size > 0) {
    collected.externalData.push({
      tensorName: name,
      location: entries.get('location') ?? '',
      offsetBytes: parseByteCount(entries.get('offset')),
      lengthBytes: parseByteCount(entries.get('length')),
    });
  }
  return name;
}

const tensorHandlers: FieldHandlers<TensorState> = {
  [tensorFields.name]: text((state, value) => {
    state.name = value;
  }),
  [tensorFields.dataLocation]: integer((state, value) => {
    state.dataLocation = value;
  }),
  [tensorFields.externalData]: nested((walk, { entries }) => {
    const entry = { key: '', value: '' };
    walk.nested(entryHandlers, entry);
    entries.set(entry.key, entry.value);
  }),
};

const entryHandlers: FieldHandlers<{ key: string; value: string }> = {
  [entryFields.key]: text((entry, value) => {
    entry.key = value;
  }),
  [entryFields.value]: text((entry, value) => {
    entry.value = value;
  }),
};

/** A sparse constant goes by the name of its values. */
function readSparseTensor(walk: Walk, collected: Collected): string {
  const state = { name: '', domain: '', collected };
  walk.nested(sparseTensorHandlers, state);
  return state.name;
}

const sparseTensorHandlers: FieldHandlers<Named> = {
  [sparseTensorFields.values]: nested((walk, state) => {
    state.name = readTensor(walk, state.collected);
  }),
  [sparseTensorFields.indices]: nested((walk, { collected }) => readTensor(walk, collected)),
};

interface ValueState {
  name: string;
  type: ScannedType;
}

type ScannedType = Omit<ScannedValue, 'name'>;

const unstatedType: ScannedType = {
  kind: 'unstated',
  elementType: undefined,
  elementTypeCode: 0,
  dims: undefined,
};

function readValue(walk: Walk): ScannedValue {
  const state: ValueState = { name: '', type: unstatedType };
  walk.nested(valueHandlers, state);
  return { name: state.name, ...state.type };
}

const valueHandlers: FieldHandlers<ValueState> = {
  [valueInfoFields.name]: text((state, value) => {
    state.name = value;
  }),
  [valueInfoFields.type]: nested((walk, state) => walk.nested(typeHandlers, state)),
};

function tensorType(kind: ScannedType['kind']) {
  return nested((walk, state: ValueState) => {
    const type: TensorTypeState = { elementTypeCode: 0, dims: undefined };
    walk.nested(tensorTypeHandlers, type);
    const { elementTypeCode, dims } = type;
    state.type = { kind, elementType: elementTypeOfCode(elementTypeCode), elementTypeCode, dims };
  });
}

/** What a sequence, a map or an optional holds changes no decision: as inputs they are all refused. */
function wrapperType(kind: ScannedType['kind']) {
  return nested((walk, state: ValueState) => {
    walk.nested({}, undefined);
    state.type = { ...unstatedType, kind };
  });
}

const typeHandlers: FieldHandlers<ValueState> = {
  [typeFields.tensor]: tensorType('tensor'),
  [typeFields.sparseTensor]: tensorType('sparse_tensor'),
  [typeFields.sequence]: wrapperType('sequence'),
  [typeFields.map]: wrapperType('map'),
  [typeFields.optional]: wrapperType('optional'),
  [typeFields.opaque]: wrapperType('opaque'),
};

interface TensorTypeState {
  elementTypeCode: number;
  dims: ModelDim[] | undefined;
}

const tensorTypeHandlers: FieldHandlers<TensorTypeState> = {
  [tensorTypeFields.elementType]: integer((state, value) => {
    state.elementTypeCode = value;
  }),
  [tensorTypeFields.shape]: nested((walk, state) => {
    const dims: ModelDim[] = [];
    walk.nested(shapeHandlers, dims);
    state.dims = dims;
  }),
};

const shapeHandlers: FieldHandlers<ModelDim[]> = {
  [shapeFields.dim]: nested((walk, dims) => {
    const state: { dim: ModelDim } = { dim: undefined };
    walk.nested(dimensionHandlers, state);
    dims.push(state.dim);
  }),
};

const dimensionHandlers: FieldHandlers<{ dim: ModelDim }> = {
  [dimensionFields.value]: integer((state, value) => {
    // Exporters write -1 for a size that varies.
    state.dim = value < 0 ? undefined : value;
  }),
  [dimensionFields.param]: text((state, value) => {
    state.dim = value === '' ? undefined : value;
  }),
};

/** ai.onnx has two spellings. */
function standardDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function parseByteCount(value: string | undefined): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  return /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
}
