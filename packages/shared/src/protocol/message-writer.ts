/**
 * Writes one message: JSON text, then binary tensors, in a single allocation with one copy of each tensor.
 * The two codecs build the text; names and parameters that repeat could be cached there.
 */
import type { ErrorReason } from '../errors/error-catalogue.js';
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import { binarySize, writeBinaryElements } from './binary-elements.js';
import type { Parameters, WireMessage } from './infer-message.js';
import { encodeJsonElements } from './json-elements.js';
import type { Tensor } from './tensor.js';

/** What JSON cannot carry is refused with this reason and remedy. */
export interface NotJson {
  readonly reason: ErrorReason;
  readonly remedy: string;
}

/** The binary tensors of a message and their size, gathered while its text is built. */
export class MessageWriter {
  readonly #parts: Tensor[] = [];
  #partBytes = 0;

  /** The entry of a tensor in `inputs` or `outputs` as JSON text. Throws by the reasons of the tensor. */
  encodeTensor(
    list: 'inputs' | 'outputs',
    index: number,
    tensor: Tensor,
    binary: boolean,
    notJson: NotJson,
  ): string {
    const { name, shape, datatype } = tensor;
    const place = { list, index, name };
    const size = binarySize(place, tensor);
    const start = `{"name":${JSON.stringify(name)},"shape":[${shape.join(',')}],"datatype":"${datatype}",`;
    if (!binary)
      return `${start}"data":${encodeJsonElements(place, tensor, notJson.reason, notJson.remedy)}}`;
    this.#parts.push(tensor);
    this.#partBytes += size;
    return `${start}"parameters":{"binary_data_size":${size}}}`;
  }

  /** The message of the finished text and the tensors gathered. */
  finish(json: string): WireMessage {
    if (this.#parts.length === 0) return { payload: Buffer.from(json), jsonLength: undefined };
    const jsonLength = Buffer.byteLength(json);
    const payload = Buffer.allocUnsafe(jsonLength + this.#partBytes);
    payload.write(json);
    let next = jsonLength;
    for (const part of this.#parts) next = writeBinaryElements(part, payload, next);
    return { payload, jsonLength };
  }
}

/** `parameters` as JSON text. Throws `request.parameter` for what OIP does not allow. */
export function encodeParameters(parameters: Parameters): string {
  for (const [key, value] of Object.entries(parameters)) {
    const fits =
      typeof value === 'number' ? Number.isFinite(value) : /^(?:string|boolean)$/.test(typeof value);
    if (fits && key !== '__proto__') continue;
    throw new TroupeError(
      'request.parameter',
      `parameter ${quoteName(key)} must be a string, a finite number or a boolean`,
    );
  }
  return JSON.stringify(parameters);
}
