/**
 * The models of the drills `swap` and `rollback`: `input` [N, 4] float32 times a factor of the version's own, so that an
 * answer tells which version made it, with a trap that some of them fall into where the first column is above 4.
 */
import {
  boolTensor,
  elementTypeCodes,
  encodeModel,
  floatTensor,
  type GraphDescription,
  int64Tensor,
  type NodeDescription,
  tensorValue,
} from '@troupe/shared/onnx';

/** What a version does besides its work. `errors`, `nan` and `slow` do it to requests with `trapValue` alone. */
export type Trap = 'none' | 'errors' | 'nan' | 'slow' | 'always_nan' | 'other_signature';

/** The first column of a request that springs the trap; others have 0 to 3 there. */
export const trapValue = 7;

/** Trips of the slow loop per unit above 4, at very roughly two microseconds each. */
const tripsPerUnit = 4_000;

/** `input` × `factor`; `weight` adds so many bytes that nothing reads. */
export function affineModel(
  factor: number,
  options: { readonly trap?: Trap; readonly weightBytes?: number } = {},
): Uint8Array<ArrayBuffer> {
  const trap = options.trap ?? 'none';
  const output = trap === 'other_signature' ? 'result' : 'output';
  const { nodes, initializers } = trapParts(trap);
  const ballast = Math.ceil((options.weightBytes ?? 0) / 4);
  return encodeModel({
    graph: {
      name: 'affine',
      inputs: [tensorValue('input', 'FLOAT', ['N', 4])],
      outputs: [tensorValue(output, 'FLOAT', ['N', 4])],
      nodes: [
        { opType: 'Mul', inputs: ['input', 'factor'], outputs: ['scaled'] },
        ...nodes,
        { opType: 'Add', inputs: ['scaled', 'extra'], outputs: [output] },
      ],
      initializers: [
        floatTensor('factor', [], [factor]),
        ...initializers,
        ...(ballast === 0 ? [] : [floatTensor('ballast', [ballast], new Float32Array(ballast))]),
      ],
    },
  });
}

/** Nodes that make `extra`: zeros, or what the trap does. */
function trapParts(trap: Trap): Required<Pick<GraphDescription, 'nodes' | 'initializers'>> {
  const nought = floatTensor('nought', [1], [0]);
  switch (trap) {
    case 'none':
    case 'other_signature':
      return {
        nodes: [{ opType: 'Identity', inputs: ['nought'], outputs: ['extra'] }],
        initializers: [nought],
      };
    case 'always_nan':
      return {
        nodes: [{ opType: 'Log', inputs: ['minus_one'], outputs: ['extra'] }],
        initializers: [floatTensor('minus_one', [1], [-1])],
      };
    case 'errors':
      // A table of four rows: what is above 3 is out of its range, and the whole run fails.
      return {
        nodes: [
          firstColumn('column'),
          cast('column', 'row', 'INT64'),
          { opType: 'Reshape', inputs: ['row', 'flat'], outputs: ['flat_row'] },
          {
            opType: 'Gather',
            inputs: ['table', 'flat_row'],
            outputs: ['extra'],
            attributes: { axis: { type: 'int', value: 0 } },
          },
        ],
        initializers: [
          int64Tensor('first', [1], [0]),
          int64Tensor('flat', [1], [-1]),
          floatTensor('table', [4, 1], [0, 0, 0, 0]),
        ],
      };
    case 'nan':
      return {
        nodes: [
          firstColumn('column'),
          { opType: 'Sub', inputs: ['limit', 'column'], outputs: ['left'] },
          { opType: 'Log', inputs: ['left'], outputs: ['log'] },
          { opType: 'Mul', inputs: ['log', 'nought'], outputs: ['extra'] },
        ],
        initializers: [int64Tensor('first', [1], [0]), floatTensor('limit', [1], [4.5]), nought],
      };
    case 'slow':
      return {
        nodes: [
          firstColumn('column'),
          { opType: 'Sub', inputs: ['column', 'limit'], outputs: ['above'] },
          { opType: 'Relu', inputs: ['above'], outputs: ['excess'] },
          { opType: 'Mul', inputs: ['excess', 'trips_per_unit'], outputs: ['trips_of_rows'] },
          {
            opType: 'ReduceMax',
            inputs: ['trips_of_rows'],
            outputs: ['most_trips'],
            attributes: { keepdims: { type: 'int', value: 0 } },
          },
          cast('most_trips', 'trip_count', 'INT64'),
          {
            opType: 'Loop',
            inputs: ['trip_count', 'true', 'none_yet'],
            outputs: ['counted'],
            attributes: { body: { type: 'graph', value: countingBody } },
          },
          // Without a use of the count, the runtime would drop the loop.
          { opType: 'Mul', inputs: ['counted', 'nought'], outputs: ['extra'] },
        ],
        initializers: [
          int64Tensor('first', [1], [0]),
          floatTensor('limit', [1], [4]),
          floatTensor('trips_per_unit', [1], [tripsPerUnit]),
          floatTensor('none_yet', [], [0]),
          floatTensor('one', [], [1]),
          boolTensor('true', [], [true]),
          nought,
        ],
      };
  }
}

function firstColumn(output: string): NodeDescription {
  return {
    opType: 'Gather',
    inputs: ['input', 'first'],
    outputs: [output],
    attributes: { axis: { type: 'int', value: 1 } },
  };
}

function cast(input: string, output: string, to: 'INT64'): NodeDescription {
  return {
    opType: 'Cast',
    inputs: [input],
    outputs: [output],
    attributes: { to: { type: 'int', value: elementTypeCodes[to] } },
  };
}

const countingBody: GraphDescription = {
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
