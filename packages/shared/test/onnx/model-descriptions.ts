/** Arbitrary model descriptions for the round-trip properties of the ONNX writer and reader. */

import type {
  AttributeDescription,
  ElementType,
  GraphDescription,
  ModelDescription,
  ModelDim,
  OnnxType,
  SparseTensorDescription,
  TensorDescription,
  ValueDescription,
} from '@troupe/shared/onnx';
import { elementTypeCodes } from '@troupe/shared/onnx';
import * as fc from 'fast-check';

// Lone surrogates have no UTF-8 form; names are whole code points.
const name = fc.string({ unit: 'binary', maxLength: 12 });
const label = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
const elementType = fc.constantFrom(...(Object.keys(elementTypeCodes) as ElementType[]));
const dim: fc.Arbitrary<ModelDim> = fc.oneof(
  fc.nat(),
  fc.constant(2 ** 40),
  label,
  fc.constant<ModelDim>(undefined),
);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const type: fc.Arbitrary<OnnxType> = fc.letrec<{ type: OnnxType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom('tensor' as const, 'sparse_tensor' as const),
      elementType,
      dims: fc.option(fc.array(dim, { maxLength: 4 }), { nil: undefined }),
    }),
    fc.record({
      kind: fc.constantFrom('sequence' as const, 'optional' as const),
      element: tie('type'),
    }),
    fc.record({ kind: fc.constant('map' as const), keyType: elementType, value: tie('type') }),
  ),
})).type;

const value: fc.Arbitrary<ValueDescription> = fc.record({
  name,
  type: fc.option(type, { nil: undefined, freq: 10 }),
});

const tensor: fc.Arbitrary<TensorDescription> = fc.record({
  name,
  elementType,
  dims: fc.array(fc.nat(), { maxLength: 3 }),
  content: fc.oneof(
    fc.record({ kind: fc.constant('raw' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({ kind: fc.constant('strings' as const), values: fc.array(name, { maxLength: 3 }) }),
    fc.record(
      {
        kind: fc.constant('external' as const),
        location: name,
        offsetBytes: fc.nat(),
        lengthBytes: fc.maxSafeNat().filter((count) => count < 1e15),
      },
      { requiredKeys: ['kind', 'location'] },
    ),
  ),
});

const sparseTensor: fc.Arbitrary<SparseTensorDescription> = fc.record({
  values: tensor,
  indices: tensor,
  dims: fc.array(fc.nat(), { maxLength: 3 }),
});

const graph: fc.Arbitrary<GraphDescription> = fc.letrec<{
  graph: GraphDescription;
  attribute: AttributeDescription;
}>((tie) => {
  const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 2 });
  const attribute = <K extends string, V>(kind: K, held: fc.Arbitrary<V>) =>
    fc.record({ type: fc.constant(kind), value: held });
  return {
    attribute: fc.oneof(
      { maxDepth: 2, depthIdentifier: 'graph' },
      attribute('int', int64),
      attribute('float', fc.float()),
      attribute('string', name),
      attribute('tensor', tensor),
      attribute('sparseTensor', sparseTensor),
      attribute('typeProto', type),
      attribute('floats', few(fc.float())),
      attribute('ints', few(int64)),
      attribute('strings', few(name)),
      attribute('tensors', few(tensor)),
      attribute('sparseTensors', few(sparseTensor)),
      attribute('typeProtos', few(type)),
      attribute('graph', tie('graph')),
      attribute('graphs', few(tie('graph'))),
    ) as fc.Arbitrary<AttributeDescription>,
    graph: fc.record({
      name,
      inputs: fc.array(value, { maxLength: 3 }),
      outputs: fc.array(value, { maxLength: 3 }),
      initializers: few(tensor),
      nodes: fc.array(
        fc.record({
          opType: name,
          domain: name,
          name,
          inputs: few(name),
          outputs: few(name),
          attributes: fc.dictionary(label, tie('attribute'), { maxKeys: 3 }),
        }),
        { maxLength: 3, depthIdentifier: 'graph' },
      ),
    }),
  };
}).graph;

/** Any model that the writer can describe, sensible or not. */
export const modelDescription: fc.Arbitrary<ModelDescription> = fc.record({
  irVersion: fc.nat(),
  opsets: fc.dictionary(name, fc.nat(), { maxKeys: 3 }),
  producerName: name,
  metadata: fc.dictionary(name, name, { maxKeys: 2 }),
  graph,
});
