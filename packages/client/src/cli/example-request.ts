/** A request to copy for `models show`: the command line that runs a version on zeros, made of its signature. Pure. */
import { elementCount, type Signature, type TensorSpec } from '@troupe/shared';

/** More than this is no example that one would like to paste. */
const shownElements = 32;

/** `npx troupe infer …` with a value for each input; what would be long stands in files to be written. */
export function exampleRequest(model: string, selector: string, signature: Signature): string {
  const alone = signature.inputs.length === 1;
  const inputs = signature.inputs.map(
    (spec) => ` --input ${quoted(alone ? exampleValue(spec) : `${spec.name}=${exampleValue(spec)}`)}`,
  );
  return `npx troupe infer ${model}${selector}${inputs.join('')}`;
}

function exampleValue(spec: TensorSpec): string {
  const shape = spec.shape?.map((dim) => (dim < 0 ? 1 : dim));
  if (shape === undefined || elementCount(shape) > shownElements)
    return `@${spec.name.replace(/[^A-Za-z0-9_-]+/g, '_')}.npy`;
  const element = spec.datatype === 'BYTES' ? '""' : spec.datatype === 'BOOL' ? 'false' : '0';
  // From the innermost dimension outwards.
  return shape.reduceRight(
    (inner, dim) => `[${Array.from({ length: dim }, () => inner).join(',')}]`,
    element,
  );
}

/** For a shell, with quotes only where they are needed. */
function quoted(text: string): string {
  return /^[\w@.=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
