import type {
  AttributeDescription,
  GraphDescription,
  ModelDescription,
  ModelDim,
  ScannedExternalData,
  ScannedModel,
  ScannedValue,
  TensorDescription,
  ValueDescription,
} from '@troupe/shared/onnx';
import { elementTypeCodes, encodeModel, scanModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import * as fc from 'fast-check';
import { modelDescription } from './model-descriptions.js';

describe('ONNX writer and reader', () => {
  it('read back what was written: versions, operators, inputs, outputs and external data', () => {
    fc.assert(
      fc.property(modelDescription, (model) => {
        expect(scanModel(encodeModel(model))).to.deep.equal(expectedScan(model));
      }),
      { numRuns: 300 },
    );
  });

  it('answer with a scan for every prefix of a model', () => {
    fc.assert(
      fc.property(modelDescription, fc.double({ min: 0, max: 1, noNaN: true }), (model, share) => {
        const bytes = encodeModel(model);
        const scan = scanModel(bytes.subarray(0, Math.floor(bytes.length * share)));
        expect(scan).to.have.property('kind');
      }),
      { numRuns: 300 },
    );
  });

  it('answer with a scan when bytes of a model are changed', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(modelDescription, changes, (model, places) => {
        const bytes = encodeModel(model);
        for (const [place, byte] of places) {
          bytes[place % bytes.length] = byte;
        }
        expect(scanModel(bytes)).to.have.property('kind');
      }),
      { numRuns: 300 },
    );
  });

  it('answer with a scan for any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(scanModel(bytes)).to.have.property('kind');
      }),
      { numRuns: 2000 },
    );
  });
});

/** What the reader must say about a description, by the meaning of each field. */
function expectedScan(model: ModelDescription): ScannedModel {
  const { graph } = model;
  const seen = { operators: new Map<string, { domain: string; name: string }>(), nodeCount: 0 };
  const externalData: ScannedExternalData[] = [];
  visitGraph(graph, seen, externalData);
  const initialized = new Set(graph.initializers?.map((tensor) => tensor.name ?? ''));
  return {
    kind: 'model',
    irVersion: model.irVersion ?? 8,
    opsetImports: Object.entries(model.opsets ?? {}).map(([domain, version]) => ({ domain, version })),
    operators: [...seen.operators.values()],
    functions: [],
    inputs: (graph.inputs ?? []).filter((input) => !initialized.has(input.name)).map(expectedValue),
    outputs: graph.outputs.map(expectedValue),
    nodeCount: seen.nodeCount,
    externalData,
  };
}

function visitGraph(
  graph: GraphDescription,
  seen: { operators: Map<string, { domain: string; name: string }>; nodeCount: number },
  externalData: ScannedExternalData[],
): void {
  for (const node of graph.nodes) {
    for (const attribute of Object.values(node.attributes ?? {})) {
      for (const inner of graphsIn(attribute)) visitGraph(inner, seen, externalData);
      for (const tensor of tensorsIn(attribute)) visitTensor(tensor, externalData);
    }
    const domain = node.domain ?? '';
    seen.nodeCount += 1;
    const key = JSON.stringify([domain, node.opType]);
    if (!seen.operators.has(key)) seen.operators.set(key, { domain, name: node.opType });
  }
  for (const tensor of graph.initializers ?? []) visitTensor(tensor, externalData);
}

function graphsIn(attribute: AttributeDescription): readonly GraphDescription[] {
  if (attribute.type === 'graph') return [attribute.value];
  return attribute.type === 'graphs' ? attribute.value : [];
}

function tensorsIn(attribute: AttributeDescription): readonly TensorDescription[] {
  switch (attribute.type) {
    case 'tensor':
      return [attribute.value];
    case 'tensors':
      return attribute.value;
    case 'sparseTensor':
      return [attribute.value.values, attribute.value.indices];
    case 'sparseTensors':
      return attribute.value.flatMap(({ values, indices }) => [values, indices]);
    default:
      return [];
  }
}

function visitTensor({ name, content }: TensorDescription, externalData: ScannedExternalData[]): void {
  if (content.kind === 'external') {
    externalData.push({
      tensorName: name ?? '',
      location: content.location,
      offsetBytes: content.offsetBytes,
      lengthBytes: content.lengthBytes,
    });
  }
}

function expectedValue({ name, type }: ValueDescription): ScannedValue {
  const unstated = {
    elementType: undefined,
    elementTypeCode: 0,
    dims: undefined as readonly ModelDim[] | undefined,
  };
  if (type === undefined) return { name, kind: 'unstated', ...unstated };
  if (type.kind !== 'tensor' && type.kind !== 'sparse_tensor') return { name, kind: type.kind, ...unstated };
  const { kind, elementType, dims } = type;
  return { name, kind, elementType, elementTypeCode: elementTypeCodes[elementType], dims };
}
