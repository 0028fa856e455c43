/**
 * Puts the tensors of several requests into one run and takes the answers apart again. Pure.
 * One copy on the way in (each request's bytes into the run's buffer), none on the way out (views on the run's).
 */
import { datatypeBytes, elementCount, type Signature, type Tensor } from '@troupe/shared';

/** The inputs of a request in the order of the signature. The request was validated: each is there once. */
export function orderInputs(signature: Signature, inputs: readonly Tensor[]): readonly Tensor[] {
  return signature.inputs.map(({ name }) => inputs.find((input) => input.name === name) as Tensor);
}

/**
 * What requests must have in common to share a run, and how many rows this one brings; `undefined` where it must run
 * alone: no inputs, a scalar, inputs whose first dimensions differ, no rows at all, or more than fit.
 */
export function describeRows(
  inputs: readonly Tensor[],
  outputNames: readonly string[],
  maxBatchSize: number,
): { key: string; rows: number } | undefined {
  const rows = inputs[0]?.shape[0];
  if (rows === undefined || rows === 0 || rows > maxBatchSize) return undefined;
  let key = '';
  for (const { datatype, shape } of inputs) {
    if (shape[0] !== rows) return undefined;
    key += `${datatype}${shape.length}`;
    for (let axis = 1; axis < shape.length; axis += 1) key += `,${shape[axis]}`;
    key += ';';
  }
  // Names come last and quoted: they are the model's, and may contain anything. Inputs are all of the signature's.
  return { key: `${key}${JSON.stringify(outputNames)}`, rows };
}

/**
 * The inputs of a run: those of one request, or the rows of several one after the other. Owns its memory, which `allocate`
 * gives where it is not to be fresh.
 */
export function assembleInputs(
  requests: readonly (readonly Tensor[])[],
  allocate: (bytes: number) => Uint8Array = (bytes) => new Uint8Array(bytes),
): readonly Tensor[] {
  const [first = []] = requests;
  return first.map((head, position) => {
    const parts = requests.map((inputs) => inputs[position] as Tensor);
    let rows = 0;
    for (const part of parts) rows += part.shape[0] ?? 0;
    const shape = parts.length === 1 ? head.shape : [rows, ...head.shape.slice(1)];
    return { name: head.name, datatype: head.datatype, shape, data: joinData(head, parts, allocate) };
  });
}

function joinData(
  head: Tensor,
  parts: readonly Tensor[],
  allocate: (bytes: number) => Uint8Array,
): Tensor['data'] {
  if (head.datatype === 'BYTES') {
    return parts.length === 1 ? head.data : parts.flatMap(({ data }) => data as readonly string[]);
  }
  let size = 0;
  for (const { data } of parts) size += (data as Uint8Array).byteLength;
  const joined = allocate(size);
  let offset = 0;
  for (const { data } of parts) {
    joined.set(data as Uint8Array, offset);
    offset += data.length;
  }
  return joined;
}

/**
 * The outputs of a run by request; `undefined` where some output has another number of rows than went in: then nobody
 * knows whose they are.
 */
export function sliceOutputs(
  outputs: readonly Tensor[],
  rowsOfRequests: readonly number[],
): readonly (readonly Tensor[])[] | undefined {
  let total = 0;
  for (const rows of rowsOfRequests) total += rows;
  if (outputs.some(({ shape }) => shape[0] !== total)) return undefined;
  let start = 0;
  return rowsOfRequests.map((rows) => {
    const from = start;
    start += rows;
    return outputs.map((output) => sliceRows(output, from, rows));
  });
}

function sliceRows(output: Tensor, from: number, rows: number): Tensor {
  const { name, datatype, data } = output;
  const rowShape = output.shape.slice(1);
  const perRow = elementCount(rowShape) * (datatype === 'BYTES' ? 1 : datatypeBytes[datatype]);
  const [start, end] = [from * perRow, (from + rows) * perRow];
  return {
    name,
    datatype,
    shape: [rows, ...rowShape],
    data: data instanceof Uint8Array ? data.subarray(start, end) : data.slice(start, end),
  };
}
