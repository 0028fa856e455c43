/** Whether one version of a model can answer requests that were made for another. Pure; asked in fallback. */
import type { Signature, TensorSpec } from '@troupe/shared';

function acceptsShape(wide: TensorSpec['shape'], narrow: TensorSpec['shape']): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined || narrow.length !== wide.length) return false;
  return wide.every((dim, axis) => dim === -1 || dim === narrow[axis]);
}

/**
 * True where every request that fits `wanted` also fits `offered`, and every output of `wanted` is there:
 * same names and datatypes; input dimensions may be wider, output dimensions narrower.
 */
export function acceptsSignature(offered: Signature, wanted: Signature): boolean {
  if (offered.inputs.length !== wanted.inputs.length) return false;
  const inputsFit = offered.inputs.every((input) => {
    const other = wanted.inputs.find((spec) => spec.name === input.name);
    return other !== undefined && other.datatype === input.datatype && acceptsShape(input.shape, other.shape);
  });
  const outputsFit = wanted.outputs.every((output) => {
    const other = offered.outputs.find((spec) => spec.name === output.name);
    return (
      other !== undefined && other.datatype === output.datatype && acceptsShape(output.shape, other.shape)
    );
  });
  return inputsFit && outputsFit;
}
