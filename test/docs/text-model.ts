/** A model with the inputs of a text encoder: looks ids up in a table and takes the mean of what the mask lets through. */
import {
  encodeModel,
  floatTensor,
  int64Tensor,
  type NodeDescription,
  SeededRandom,
  tensorValue,
} from '@troupe/shared/onnx';

const vocabulary = 8_192;
const width = 4;

const random = new SeededRandom(1);
const table = Float32Array.from({ length: vocabulary * width }, () => random.nextWithin(1));

/** What the model answers for one text, without padding: the mean of its rows of the table. */
export function pooledOf(ids: readonly number[]): number[] {
  return Array.from({ length: width }, (_, column) =>
    ids.reduce((sum, id) => sum + (table[id * width + column] ?? Number.NaN) / ids.length, 0),
  );
}

/** `input_ids` and `attention_mask` [N, L] INT64 to `pooled` [N, 4] float32. */
export function textModel(): Uint8Array<ArrayBuffer> {
  const nodes: NodeDescription[] = [
    { opType: 'Gather', inputs: ['table', 'input_ids'], outputs: ['embedded'] },
    {
      opType: 'Cast',
      inputs: ['attention_mask'],
      outputs: ['mask'],
      attributes: { to: { type: 'int', value: 1 } },
    },
    { opType: 'Unsqueeze', inputs: ['mask', 'last'], outputs: ['column'] },
    { opType: 'Mul', inputs: ['embedded', 'column'], outputs: ['masked'] },
    {
      opType: 'ReduceSum',
      inputs: ['masked', 'positions'],
      outputs: ['sum'],
      attributes: { keepdims: { type: 'int', value: 0 } },
    },
    {
      opType: 'ReduceSum',
      inputs: ['column', 'positions'],
      outputs: ['count'],
      attributes: { keepdims: { type: 'int', value: 0 } },
    },
    { opType: 'Div', inputs: ['sum', 'count'], outputs: ['pooled'] },
  ];
  return encodeModel({
    graph: {
      name: 'text',
      inputs: [
        tensorValue('input_ids', 'INT64', ['N', 'L']),
        tensorValue('attention_mask', 'INT64', ['N', 'L']),
      ],
      outputs: [tensorValue('pooled', 'FLOAT', ['N', width])],
      nodes,
      initializers: [
        floatTensor('table', [vocabulary, width], table),
        int64Tensor('last', [1], [-1]),
        int64Tensor('positions', [1], [1]),
      ],
    },
  });
}
