/**
 * Models that load and then fail, stall, mislead or kill their process, so that tests can meet each fault on
 * purpose. All but `hugeOutput` take `input` [N, 4] float32, so that one request fits them all.
 */

import type { GraphDescription, ModelDescription, NodeDescription } from '@troupe/shared/onnx';
import {
  boolTensor,
  elementTypeCodes,
  encodeModel,
  floatTensor,
  int64Tensor,
  tensorValue,
} from '@troupe/shared/onnx';

const input = tensorValue('input', 'FLOAT', ['N', 4]);

/**
 * Looks batchable and is not: dimension 0 mixes rows, as it does in a recurrent model whose first dimension is
 * time. `running-sum` adds up the rows so far; `centred` subtracts the mean of all rows.
 */
export function recurrentLike(mixing: 'running-sum' | 'centred' = 'running-sum'): Uint8Array<ArrayBuffer> {
  const nodes: NodeDescription[] =
    mixing === 'running-sum'
      ? [{ opType: 'CumSum', inputs: ['input', 'zero'], outputs: ['output'] }]
      : [
          {
            opType: 'ReduceMean',
            inputs: ['input'],
            outputs: ['mean'],
            attributes: { axes: { type: 'ints', value: [0] } },
          },
          { opType: 'Sub', inputs: ['input', 'mean'], outputs: ['output'] },
        ];
  return model({
    outputs: [tensorValue('output', 'FLOAT', ['N', 4])],
    nodes,
    initializers: mixing === 'running-sum' ? [int64Tensor('zero', [], [0])] : [],
  });
}

/**
 * Fails on some requests: the first column picks a row of a table, of four unless told otherwise, and any number
 * outside of them (-4 to 3) makes the whole run fail. Row r of the table is [r, 10 r].
 */
export function failsOn(rowCount = 4): Uint8Array<ArrayBuffer> {
  const rows = Array.from({ length: rowCount }, (_, row) => [row, 10 * row]);
  return model({
    outputs: [tensorValue('output', 'FLOAT', ['N', 2])],
    nodes: [
      ...firstColumnAsInt64('index'),
      {
        opType: 'Gather',
        inputs: ['table', 'index'],
        outputs: ['output'],
        attributes: { axis: { type: 'int', value: 0 } },
      },
    ],
    initializers: [int64Tensor('zero', [], [0]), floatTensor('table', [rowCount, 2], rows.flat())],
  });
}

/**
 * Runs as long as the caller says: the largest number in the first column is the trip count of a loop, at very
 * roughly two microseconds for each trip. Gives its input back, whatever the trip count, so it is batchable.
 */
export function slowOn(): Uint8Array<ArrayBuffer> {
  const body: GraphDescription = {
    name: 'body',
    inputs: [
      tensorValue('trip', 'INT64', []),
      tensorValue('go_on_before', 'BOOL', []),
      tensorValue('count_before', 'FLOAT', []),
    ],
    outputs: [tensorValue('go_on', 'BOOL', []), tensorValue('count', 'FLOAT', [])],
    nodes: [
      { opType: 'Identity', inputs: ['go_on_before'], outputs: ['go_on'] },
      { opType: 'Add', inputs: ['count_before', 'one'], outputs: ['count'] },
    ],
  };
  return model({
    outputs: [tensorValue('output', 'FLOAT', ['N', 4])],
    nodes: [
      ...firstColumnAsInt64('trips_of_rows'),
      {
        opType: 'ReduceMax',
        inputs: ['trips_of_rows'],
        outputs: ['trip_count'],
        attributes: { keepdims: { type: 'int', value: 0 } },
      },
      {
        opType: 'Loop',
        inputs: ['trip_count', 'true', 'nothing'],
        outputs: ['counted'],
        attributes: { body: { type: 'graph', value: body } },
      },
      // Without a use of the count, the runtime would drop the loop.
      { opType: 'Mul', inputs: ['counted', 'nothing'], outputs: ['nought'] },
      { opType: 'Add', inputs: ['input', 'nought'], outputs: ['output'] },
    ],
    initializers: [
      int64Tensor('zero', [], [0]),
      floatTensor('nothing', [], [0]),
      floatTensor('one', [], [1]),
      boolTensor('true', [], [true]),
    ],
  });
}

/** Gives NaN for numbers below 0 and -Infinity for 0: the natural logarithm of its input. */
export function nanOn(): Uint8Array<ArrayBuffer> {
  return model({
    outputs: [tensorValue('output', 'FLOAT', ['N', 4])],
    nodes: [{ opType: 'Log', inputs: ['input'], outputs: ['output'] }],
  });
}

/**
 * ABORTS THE PROCESS at its first run in onnxruntime-node 1.30, because its output is INT4. With `undeclared`, the
 * file does not say so and only the runtime's inference of types does.
 */
export function int4Output(declaration: 'declared' | 'undeclared' = 'declared'): Uint8Array<ArrayBuffer> {
  return model(
    {
      outputs: [
        declaration === 'declared'
          ? tensorValue('output', 'INT4', ['N', 4])
          : { name: 'output', type: undefined },
      ],
      nodes: [
        {
          opType: 'Cast',
          inputs: ['input'],
          outputs: ['output'],
          attributes: { to: { type: 'int', value: elementTypeCodes.INT4 } },
        },
      ],
    },
    { irVersion: 10, opsets: { '': 21 } },
  );
}

/** As many ones as the caller says: `count` [1] int64 to `output` [count] float32, four bytes for each. */
export function hugeOutput(): Uint8Array<ArrayBuffer> {
  return encodeModel({
    graph: {
      name: 'huge_output',
      inputs: [tensorValue('count', 'INT64', [1])],
      outputs: [tensorValue('output', 'FLOAT', ['count'])],
      nodes: [{ opType: 'Expand', inputs: ['one', 'count'], outputs: ['output'] }],
      initializers: [floatTensor('one', [1], [1])],
    },
  });
}

/** The first column of `input` as [N] int64. Needs the initializer `zero`. */
function firstColumnAsInt64(output: string): NodeDescription[] {
  return [
    {
      opType: 'Gather',
      inputs: ['input', 'zero'],
      outputs: ['first_column'],
      attributes: { axis: { type: 'int', value: 1 } },
    },
    {
      opType: 'Cast',
      inputs: ['first_column'],
      outputs: [output],
      attributes: { to: { type: 'int', value: elementTypeCodes.INT64 } },
    },
  ];
}

function model(
  graph: GraphDescription,
  options: Pick<ModelDescription, 'irVersion' | 'opsets'> = {},
): Uint8Array<ArrayBuffer> {
  return encodeModel({ ...options, graph: { inputs: [input], ...graph } });
}
