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
    new MessageWalk().message(bytes, modelHandlers(collected));
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

function modelHandlers(collected: Collected): FieldHandlers {
  return {
    [modelFields.irVersion]: integer((value) => {
      collected.irVersion = value;
    }),
    [modelFields.opsetImport]: nested((bytes, walk) => {
      let domain = '';
      let version = 0;
      walk.message(bytes, {
        [opsetFields.domain]: text((value) => {
          domain = value;
        }),
        [opsetFields.version]: integer((value) => {
          version = value;
        }),
      });
      collected.opsetImports.push({ domain: standardDomain(domain), version });
    }),
    [modelFields.graph]: nested((bytes, walk) => {
      collected.hasGraph = true;
      walk.message(bytes, {
        ...graphHandlers(collected),
        [graphFields.input]: nested((input) => collected.inputs.push(readValue(input, walk))),
        [graphFields.output]: nested((output) => collected.outputs.push(readValue(output, walk))),
        [graphFields.initializer]: nested((tensor) =>
          collected.initializerNames.add(readTensor(tensor, walk, collected)),
        ),
        [graphFields.sparseInitializer]: nested((tensor) =>
          collected.initializerNames.add(readSparseTensor(tensor, walk, collected)),
        ),
      });
    }),
    [modelFields.trainingInfo]: nested((bytes, walk) => {
      const graph = nested((inner) => walk.message(inner, graphHandlers(collected)));
      walk.message(bytes, {
        [trainingInfoFields.initialization]: graph,
        [trainingInfoFields.algorithm]: graph,
      });
    }),
    [modelFields.functions]: nested((bytes, walk) => {
      let name = '';
      let domain = '';
      walk.message(bytes, {
        [functionFields.name]: text((value) => {
          name = value;
        }),
        [functionFields.domain]: text((value) => {
          domain = value;
        }),
        [functionFields.node]: nested((node) => readNode(node, walk, collected)),
        [functionFields.attributeProto]: nested((attribute) => readAttribute(attribute, walk, collected)),
      });
      collected.functions.push({ domain: standardDomain(domain), name });
    }),
  };
}

/** What matters in every graph, the model's own and those inside nodes. */
function graphHandlers(collected: Collected): FieldHandlers {
  return {
    [graphFields.node]: nested((bytes, walk) => readNode(bytes, walk, collected)),
    [graphFields.initializer]: nested((bytes, walk) => readTensor(bytes, walk, collected)),
    [graphFields.sparseInitializer]: nested((bytes, walk) => readSparseTensor(bytes, walk, collected)),
  };
}

function readNode(bytes: Uint8Array, walk: Walk, collected: Collected): void {
  let name = '';
  let domain = '';
  walk.message(bytes, {
    [nodeFields.opType]: text((value) => {
      name = value;
    }),
    [nodeFields.domain]: text((value) => {
      domain = standardDomain(value);
    }),
    [nodeFields.attribute]: nested((attribute) => readAttribute(attribute, walk, collected)),
  });
  collected.nodeCount += 1;
  const key = `${domain}\n${name}`;
  if (!collected.operators.has(key)) {
    collected.operators.set(key, { domain, name });
  }
}

function readAttribute(bytes: Uint8Array, walk: Walk, collected: Collected): void {
  const graph = nested((inner) => walk.message(inner, graphHandlers(collected)));
  const tensor = nested((inner) => readTensor(inner, walk, collected));
  const sparseTensor = nested((inner) => readSparseTensor(inner, walk, collected));
  walk.message(bytes, {
    [attributeFields.graph]: graph,
    [attributeFields.graphs]: graph,
    [attributeFields.tensor]: tensor,
    [attributeFields.tensors]: tensor,
    [attributeFields.sparseTensor]: sparseTensor,
    [attributeFields.sparseTensors]: sparseTensor,
  });
}

/** Notes where a constant's values are, and returns its name. */
function readTensor(bytes: Uint8Array, walk: Walk, collected: Collected): string {
  let tensorName = '';
  let dataLocation = 0;
  const entries = new Map<string, string>();
  walk.message(bytes, {
    [tensorFields.name]: text((value) => {
      tensorName = value;
    }),
    [tensorFields.dataLocation]: integer((value) => {
      dataLocation = value;
    }),
    [tensorFields.externalData]: nested((entry) => {
      let key = '';
      let content = '';
      walk.message(entry, {
        [entryFields.key]: text((value) => {
          key = value;
        }),
        [entryFields.value]: text((value) => {
          content = value;
        }),
      });
      entries.set(key, content);
    }),
  });
  if (dataLocation === externalDataLocation || entries.size > 0) {
    collected.externalData.push({
      tensorName,
      location: entries.get('location') ?? '',
      offsetBytes: parseByteCount(entries.get('offset')),
      lengthBytes: parseByteCount(entries.get('length')),
    });
  }
  return tensorName;
}

/** A sparse constant goes by the name of its values. */
function readSparseTensor(bytes: Uint8Array, walk: Walk, collected: Collected): string {
  let name = '';
  walk.message(bytes, {
    [sparseTensorFields.values]: nested((values) => {
      name = readTensor(values, walk, collected);
    }),
    [sparseTensorFields.indices]: nested((indices) => readTensor(indices, walk, collected)),
  });
  return name;
}

function readValue(bytes: Uint8Array, walk: Walk): ScannedValue {
  let name = '';
  let type: ScannedType = unstatedType;
  walk.message(bytes, {
    [valueInfoFields.name]: text((value) => {
      name = value;
    }),
    [valueInfoFields.type]: nested((inner) => {
      type = readType(inner, walk);
    }),
  });
  return { name, ...type };
}

type ScannedType = Omit<ScannedValue, 'name'>;

const unstatedType: ScannedType = {
  kind: 'unstated',
  elementType: undefined,
  elementTypeCode: 0,
  dims: undefined,
};

function readType(bytes: Uint8Array, walk: Walk): ScannedType {
  let type: ScannedType = unstatedType;
  // What a sequence, a map or an optional holds changes no decision: as inputs they are all refused.
  const wrapper = (kind: ScannedType['kind']) =>
    nested(() => {
      type = { ...unstatedType, kind };
    });
  const tensor = (kind: ScannedType['kind']) =>
    nested((inner) => {
      type = readTensorType(kind, inner, walk);
    });
  walk.message(bytes, {
    [typeFields.tensor]: tensor('tensor'),
    [typeFields.sparseTensor]: tensor('sparse_tensor'),
    [typeFields.sequence]: wrapper('sequence'),
    [typeFields.map]: wrapper('map'),
    [typeFields.optional]: wrapper('optional'),
    [typeFields.opaque]: wrapper('opaque'),
  });
  return type;
}

function readTensorType(kind: ScannedType['kind'], bytes: Uint8Array, walk: Walk): ScannedType {
  let elementTypeCode = 0;
  let dims: ModelDim[] | undefined;
  walk.message(bytes, {
    [tensorTypeFields.elementType]: integer((value) => {
      elementTypeCode = value;
    }),
    [tensorTypeFields.shape]: nested((shape) => {
      const seen: ModelDim[] = [];
      walk.message(shape, { [shapeFields.dim]: nested((dim) => seen.push(readDimension(dim, walk))) });
      dims = seen;
    }),
  });
  return { kind, elementType: elementTypeOfCode(elementTypeCode), elementTypeCode, dims };
}

function readDimension(bytes: Uint8Array, walk: Walk): ModelDim {
  let dim: ModelDim;
  walk.message(bytes, {
    [dimensionFields.value]: integer((value) => {
      // Exporters write -1 for a size that varies.
      dim = value < 0 ? undefined : value;
    }),
    [dimensionFields.param]: text((value) => {
      dim = value === '' ? undefined : value;
    }),
  });
  return dim;
}

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
