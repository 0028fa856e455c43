/**
 * The raw request of the binary tensor data extension: `Inference-Header-Content-Length: 0`, and the whole body
 * is the one input of the model. Its shape is deduced; all outputs come back in binary form.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { readBinaryElements, readText } from './binary-elements.js';
import { datatypeBytes } from './datatype.js';
import type { InferRequest } from './infer-message.js';
import { noParameters } from './message-members.js';
import type { Signature, TensorSpec } from './signature.js';
import { elementCount, type Tensor } from './tensor.js';
import { describeShape, refuseTensor, type TensorPlace } from './tensor-place.js';
import { asBuffer } from './utf8-text.js';

/**
 * Decodes a raw request. The model must have one input with at most one variable dimension; where that is BYTES,
 * the body is its one element, without a length in front. Throws `request.binary_length`, `request.tensor_length`,
 * `request.tensor_shape`, `request.tensor_value`.
 */
export function decodeRawRequest(payload: Uint8Array, signature: Signature | undefined): InferRequest {
  if (signature === undefined) {
    throw new TroupeError(
      'request.binary_length',
      'Inference-Header-Content-Length 0 (a raw request) needs a model whose inputs are known',
    );
  }
  const [spec] = signature.inputs;
  if (spec === undefined || signature.inputs.length > 1) {
    throw new TroupeError(
      'request.binary_length',
      `Inference-Header-Content-Length 0 (a raw request) needs a model with one input; this one has ${signature.inputs.length}`,
    );
  }
  return { parameters: noParameters, inputs: [readRawTensor(spec, payload)], binaryOutput: true };
}

function readRawTensor(spec: TensorSpec, payload: Uint8Array): Tensor {
  const { name, datatype } = spec;
  const place: TensorPlace = { list: 'inputs', index: 0, name };
  const message = asBuffer(payload);
  const fixed = knownDims(place, spec);
  if (datatype === 'BYTES') {
    const shape = withVariable(spec, 1);
    if (elementCount(shape) !== 1) {
      refuseTensor(place, 'request.tensor_shape', 'a raw request carries one element of BYTES');
    }
    return { name, datatype, shape, data: [readText(place, 0, message, 0, message.byteLength)] };
  }
  const rowBytes = elementCount(fixed) * datatypeBytes[datatype];
  // A body that no length of the variable dimension fits is refused by the reader below.
  const shape = withVariable(spec, rowBytes === 0 ? 0 : Math.floor(message.byteLength / rowBytes));
  return {
    name,
    datatype,
    shape,
    data: readBinaryElements(place, datatype, shape, message, 0, message.byteLength),
  };
}

/** The dimensions that are not variable. Throws `request.tensor_shape` where more than one is. */
function knownDims(place: TensorPlace, { shape }: TensorSpec): readonly number[] {
  const fixed = shape?.filter((dim) => dim >= 0);
  if (shape !== undefined && fixed !== undefined && shape.length - fixed.length <= 1) return fixed;
  refuseTensor(
    place,
    'request.tensor_shape',
    `a raw request needs an input with at most one variable dimension; this one is ${shape === undefined ? 'of any rank' : describeShape(shape)}`,
  );
}

function withVariable({ shape }: TensorSpec, length: number): readonly number[] {
  return (shape ?? []).map((dim) => (dim < 0 ? length : dim));
}
