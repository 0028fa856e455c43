/** `@troupe/shared/onnx`: ONNX files as data, written and read without a runtime. */

export * from './identity-model.js';
export * from './mlp-model.js';
export * from './model-faults.js';
export * from './model-reader.js';
export * from './model-scan.js';
export * from './model-writer.js';
export type { ElementType, ModelDim, OnnxType, ServableElementType } from './onnx-schema.js';
export {
  datatypeOfElementType,
  elementTypeCodes,
  elementTypeOfCode,
  isServableElementType,
} from './onnx-schema.js';
export * from './seeded-random.js';
