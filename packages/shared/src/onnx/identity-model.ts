/** Builds models that give back what they get, of any element type and shape: to test transport without numerics. */

import { encodeModel, tensorValue } from './model-writer.js';
import type { ElementType, ModelDim } from './onnx-schema.js';

export interface IdentityModelOptions {
  /** Default `FLOAT`. */
  readonly elementType?: ElementType;
  /** Default `['N', 4]`; `undefined` inside the list is a dimension that the model says nothing about. */
  readonly dims?: readonly ModelDim[];
  /** Default `input`. */
  readonly inputName?: string;
  /** Default `output`. */
  readonly outputName?: string;
}

/** The bytes of an identity model. Element types of 8 bits and less that hold fractions, and those of 4 bits, need a newer operator set and get it. */
export function identityModel(options: IdentityModelOptions = {}): Uint8Array<ArrayBuffer> {
  const { elementType = 'FLOAT', dims = ['N', 4], inputName = 'input', outputName = 'output' } = options;
  return encodeModel({
    ...(narrowElementTypes.has(elementType) ? { irVersion: 10, opsets: { '': 21 } } : {}),
    graph: {
      name: 'identity',
      inputs: [tensorValue(inputName, elementType, dims)],
      outputs: [tensorValue(outputName, elementType, dims)],
      nodes: [{ opType: 'Identity', inputs: [inputName], outputs: [outputName] }],
    },
  });
}

const narrowElementTypes: ReadonlySet<ElementType> = new Set([
  'FLOAT8E4M3FN',
  'FLOAT8E4M3FNUZ',
  'FLOAT8E5M2',
  'FLOAT8E5M2FNUZ',
  'INT4',
  'UINT4',
]);
