import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { ElementType, ModelDim, OnnxType, TensorDescription } from '@troupe/shared/onnx';
import {
  elementTypeCodes,
  encodeModel,
  findModelFaults,
  identityModel,
  isOwnFolderLocation,
  isServableElementType,
  scanModel,
  tensorValue,
} from '@troupe/shared/onnx';
import { expect } from 'chai';

const text = (content: string) => new TextEncoder().encode(content);
const reasonsOf = (bytes: Uint8Array, files?: ReadonlyMap<string, number>) =>
  findModelFaults(scanModel(bytes), files).map(({ reason }) => reason);

describe('scan of a file that is no model', () => {
  const files: readonly [what: string, bytes: Uint8Array, kind: string][] = [
    ['an empty file', new Uint8Array(), 'empty'],
    [
      'a Git LFS pointer',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 26454\n'),
      'git_lfs_pointer',
    ],
    ['a text', text('Hello, this is not a model.'), 'not_protobuf'],
    ['a JSON document', text('{"name":"iris"}'), 'not_protobuf'],
    ['an HTML page', text('<!DOCTYPE html><html><body>404</body></html>'), 'not_protobuf'],
    ['a zip archive', Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0, 8, 0), 'not_protobuf'],
    ['a model in ORT format', text('\x20\0\0\0ORTM\0\0\0\0'), 'not_protobuf'],
    ['a model cut in half', identityModel().subarray(0, 40), 'damaged'],
    ['protobuf without a graph', Uint8Array.of(0x08, 0x08), 'not_onnx'],
    ['a graph without an IR version', Uint8Array.of(0x3a, 0x00), 'not_onnx'],
  ];
  for (const [what, bytes, kind] of files) {
    it(`says that ${what} is ${kind}, and refuses it as model.not_onnx`, () => {
      expect(scanModel(bytes).kind).to.equal(kind);
      expect(reasonsOf(bytes)).to.deep.equal(['model.not_onnx']);
    });
  }
});

describe('bounds of the scan', () => {
  it('stop at nesting that no real model has', () => {
    let graph = Uint8Array.of();
    for (let level = 0; level < 500; level += 1) {
      // graph.node.attribute.g, each within the other.
      for (const field of [6, 5, 1]) graph = lengthDelimited(field, graph);
    }
    expect(scanModel(lengthDelimited(7, graph)).kind).to.equal('too_complex');
  });

  it('stop at a name of a megabyte', () => {
    const bytes = identityModel({ inputName: 'x'.repeat(1_000_000) });
    expect(scanModel(bytes).kind).to.equal('too_complex');
  });

  it('stop at millions of empty parts', () => {
    const nodes = new Uint8Array(6_000_000);
    for (let place = 0; place < nodes.length; place += 2) nodes[place] = 0x0a;
    expect(scanModel(lengthDelimited(7, nodes)).kind).to.equal('too_complex');
  });

  it('do not stop at large weights, which are skipped', () => {
    const bytes = new Uint8Array(32 * 1024 * 1024);
    const weights: TensorDescription = {
      name: 'weights',
      elementType: 'UINT8',
      dims: [bytes.length],
      content: { kind: 'raw', bytes },
    };
    expect(reasonsOf(modelWith({ initializers: [weights] }))).to.deep.equal([]);
  });

  function lengthDelimited(field: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
    return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(content).finish();
  }
});

describe('faults known before a run', () => {
  it('are none for a plain model', () => {
    expect(reasonsOf(modelWith({}))).to.deep.equal([]);
  });

  for (const elementType of Object.keys(elementTypeCodes) as ElementType[]) {
    const servable = isServableElementType(elementType);
    it(`${servable ? 'do not include' : 'include'} an input or output of ${elementType}`, () => {
      const expected = servable ? [] : ['model.datatype_unsupported'];
      const type: OnnxType = { kind: 'tensor', elementType, dims: ['N'] };
      expect(reasonsOf(modelWith({ inputType: type }))).to.deep.equal(expected);
      expect(reasonsOf(modelWith({ outputTypes: [type] }))).to.deep.equal(expected);
    });
  }

  const element: OnnxType = { kind: 'tensor', elementType: 'FLOAT', dims: undefined };
  const others: readonly OnnxType[] = [
    { kind: 'sequence', element },
    { kind: 'optional', element },
    { kind: 'map', keyType: 'INT64', value: element },
    { kind: 'sparse_tensor', elementType: 'FLOAT', dims: [3] },
  ];
  for (const type of others) {
    it(`include an input of kind ${type.kind}`, () => {
      expect(reasonsOf(modelWith({ inputType: type }))).to.deep.equal(['model.input_unsupported']);
    });

    it(`include outputs that are all of kind ${type.kind}, but not one beside a tensor`, () => {
      expect(reasonsOf(modelWith({ outputTypes: [type] }))).to.deep.equal(['model.no_tensor_output']);
      expect(reasonsOf(modelWith({ outputTypes: [type, element] }))).to.deep.equal([]);
    });
  }

  it('include a model without any output', () => {
    expect(reasonsOf(modelWith({ outputTypes: [] }))).to.deep.equal(['model.no_tensor_output']);
  });

  it('include an IR version or an operator set that the runtime does not know', () => {
    expect(reasonsOf(modelWith({ irVersion: 13 }))).to.deep.equal([]);
    expect(reasonsOf(modelWith({ irVersion: 14 }))).to.deep.equal(['model.runtime_unsupported']);
    expect(reasonsOf(modelWith({ opset: 26 }))).to.deep.equal([]);
    expect(reasonsOf(modelWith({ opset: 27 }))).to.deep.equal(['model.runtime_unsupported']);
  });

  it('leave an input out that has an initializer', () => {
    const initializer: TensorDescription = {
      name: 'input',
      elementType: 'INT4',
      dims: [2],
      content: { kind: 'raw', bytes: Uint8Array.of(0) },
    };
    const inputType: OnnxType = { kind: 'tensor', elementType: 'INT4', dims: [2] };
    expect(reasonsOf(modelWith({ inputType, initializers: [initializer] }))).to.deep.equal([]);
  });
});

describe('external data', () => {
  const escapes = [
    '../weights.bin',
    'folder/weights.bin',
    '/etc/passwd',
    '..',
    '.',
    'a/../b',
    '..\\weights.bin',
    'C:\\weights.bin',
    'C:weights.bin',
    'weights.bin\0.txt',
    '*/_ORT_MEM_ADDR_/*',
    '',
  ];
  for (const location of escapes) {
    it(`at ${JSON.stringify(location)} is refused`, () => {
      expect(reasonsOf(modelWith({ initializers: [external(location)] }))).to.deep.equal([
        'model.external_data',
      ]);
      expect(isOwnFolderLocation(location)).to.equal(false);
    });
  }

  it('is refused wherever a model can hide it', () => {
    const tensor = external('../weights.bin');
    const subgraph = { nodes: [], outputs: [], initializers: [tensor] };
    const attributes = [
      { type: 'tensor', value: tensor },
      { type: 'tensors', value: [tensor] },
      { type: 'sparseTensor', value: { values: tensor, indices: external('indices.bin'), dims: [1] } },
      { type: 'graph', value: subgraph },
      { type: 'graphs', value: [subgraph] },
    ] as const;
    for (const attribute of attributes) {
      const bytes = encodeModel({
        graph: {
          inputs: [tensorValue('input', 'FLOAT', ['N'])],
          outputs: [tensorValue('output', 'FLOAT', ['N'])],
          nodes: [{ opType: 'Any', inputs: ['input'], outputs: ['output'], attributes: { attribute } }],
        },
      });
      expect(reasonsOf(bytes), attribute.type).to.deep.equal(['model.external_data']);
    }
  });

  it('in a file of the own folder is accepted, and checked against the files where they are known', () => {
    const bytes = modelWith({ initializers: [external('weights.bin', 8, 16)] });
    expect(reasonsOf(bytes)).to.deep.equal([]);
    expect(reasonsOf(bytes, new Map([['weights.bin', 24]]))).to.deep.equal([]);
    expect(reasonsOf(bytes, new Map([['weights.bin', 23]]))).to.deep.equal(['model.external_data']);
    expect(reasonsOf(bytes, new Map([['other.bin', 24]]))).to.deep.equal(['model.external_data']);
  });

  it('is listed with its place', () => {
    const scan = scanModel(modelWith({ initializers: [external('weights.bin', 8, 16)] }));
    expect(scan).to.have.deep.property('externalData', [
      { tensorName: 'weights', location: 'weights.bin', offsetBytes: 8, lengthBytes: 16 },
    ]);
  });

  function external(location: string, offsetBytes?: number, lengthBytes?: number): TensorDescription {
    return {
      name: 'weights',
      elementType: 'FLOAT',
      dims: [4],
      content: {
        kind: 'external',
        location,
        ...(offsetBytes === undefined ? {} : { offsetBytes }),
        ...(lengthBytes === undefined ? {} : { lengthBytes }),
      },
    };
  }
});

function modelWith(options: {
  inputType?: OnnxType;
  outputTypes?: readonly OnnxType[];
  initializers?: readonly TensorDescription[];
  irVersion?: number;
  opset?: number;
}): Uint8Array {
  const dims: readonly ModelDim[] = ['N'];
  const tensor: OnnxType = { kind: 'tensor', elementType: 'FLOAT', dims };
  const outputs = (options.outputTypes ?? [tensor]).map((type, index) => ({ name: `output_${index}`, type }));
  return encodeModel({
    irVersion: options.irVersion ?? 8,
    opsets: { '': options.opset ?? 17 },
    graph: {
      inputs: [{ name: 'input', type: options.inputType ?? tensor }],
      outputs,
      nodes: outputs.map(({ name }) => ({ opType: 'Identity', inputs: ['input'], outputs: [name] })),
      initializers: options.initializers ?? [],
    },
  });
}
