/**
 * Golden cases from their stored form to tensors. Checked by the door at registration and decoded by runners before
 * a version may serve; running and comparing them is not done here.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { quoteName } from '../names/namespace.js';
import type { Tensor } from '../protocol/tensor.js';
import { readTensorValues } from '../protocol/tensor-values.js';
import type { DecodedGoldenCase, GoldenCase } from './model-record.js';

/** The ONNX project's own, from its backend test runner (`onnx/backend/test/runner`). */
const defaultAbsoluteTolerance = 1e-7;
const defaultRelativeTolerance = 1e-3;

/**
 * Decodes a golden case, whose content may come from outside as it is. 64-bit integers may be decimal strings,
 * floats "NaN", "Infinity" and "-Infinity". Tolerances default to 1e-7 absolute and 1e-3 relative.
 * Throws `model.golden`, naming the case and the tensor.
 */
export function decodeGoldenCase(golden: GoldenCase): DecodedGoldenCase {
  if (
    typeof golden !== 'object' ||
    golden === null ||
    typeof golden.name !== 'string' ||
    golden.name === ''
  ) {
    throw new TroupeError('model.golden', 'a golden case must be an object with a name');
  }
  try {
    return {
      name: golden.name,
      inputs: readTensors('inputs', golden.inputs),
      outputs: readTensors('outputs', golden.outputs),
      absoluteTolerance: readTolerance(
        'absolute_tolerance',
        golden.absolute_tolerance,
        defaultAbsoluteTolerance,
      ),
      relativeTolerance: readTolerance(
        'relative_tolerance',
        golden.relative_tolerance,
        defaultRelativeTolerance,
      ),
    };
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    throw new TroupeError('model.golden', `golden case ${quoteName(golden.name)}: ${error.message}`, {
      cause: error,
    });
  }
}

function readTensors(list: 'inputs' | 'outputs', tensors: unknown): Tensor[] {
  if (!Array.isArray(tensors)) throw new TroupeError('model.golden', `"${list}" must be an array of tensors`);
  return tensors.map((tensor: unknown, index) => {
    const { name, datatype, shape, data } = (tensor ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string') throw new TroupeError('model.golden', `${list}[${index}] has no name`);
    return readTensorValues({ list, index, name }, name, datatype, shape, data);
  });
}

function readTolerance(key: string, value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TroupeError('model.golden', `"${key}" must be a finite number, zero or more`);
}
