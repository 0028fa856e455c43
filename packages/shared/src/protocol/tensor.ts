/** A tensor between wire and runtime: what the codec decodes, the batcher merges and the runtime takes. */
import type { Datatype } from './datatype.js';

/**
 * One tensor. `data` is the row-major little-endian bytes, or an array of strings where the datatype is BYTES
 * (ONNX Runtime's JavaScript API holds strings only, so bytes that are not UTF-8 are refused at decoding).
 */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** Dimensions, `[]` for a scalar. The product is the element count. */
  readonly shape: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dim of shape) count *= dim;
  return count;
}
