/** Tensors of float16 that the runtime's binding takes on every Node. */
import { Tensor as RuntimeTensor } from 'onnxruntime-node';

/**
 * From Node 24 on, which has `Float16Array`, the runtime's tensors of halves hold one, and its binding takes that for empty:
 * 'not enough space: expected 12, got 0' (onnxruntime-node 1.30, https://github.com/microsoft/onnxruntime/pull/32323). So it
 * gets the bits of the halves, called by their name.
 */
export function halfTensor(bits: Uint16Array, shape: readonly number[]): RuntimeTensor {
  return Object.assign(new RuntimeTensor('uint16', bits, shape), { type: 'float16' as const });
}
