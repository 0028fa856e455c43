/**
 * What a pre-scan says about an untrusted model file: the contract between the model reader, which fills it, and
 * those who decide by it.
 */

import type { ElementType, ModelDim } from './onnx-schema.js';

export type ModelScan = ScannedModel | UnreadableModel;

/** A file that is not a whole ONNX model; `message` says which way, for the one who uploaded it. */
export interface UnreadableModel {
  readonly kind:
    | 'empty'
    /** The stand-in that Git LFS leaves where the real file was not fetched. */
    | 'git_lfs_pointer'
    /** Other data: text, an archive, an ORT-format model. */
    | 'not_protobuf'
    /** Begins like a model and then cannot be read: cut short, or bytes changed. */
    | 'damaged'
    /** Protobuf, but no model. */
    | 'not_onnx'
    /** More parts, longer names or deeper nesting than the limits of the scan. */
    | 'too_complex';
  readonly message: string;
}

/** What a file that reads as an ONNX model declares. Nothing of it has been checked against a runtime. */
export interface ScannedModel {
  readonly kind: 'model';
  readonly irVersion: number;
  readonly opsetImports: readonly OpsetImport[];
  /** Each operator once, with those of subgraphs and of the model's own functions, in order of first use. */
  readonly operators: readonly ScannedOperator[];
  /** Operators that the model defines itself. */
  readonly functions: readonly ScannedOperator[];
  /** Inputs that a caller must give: those without an initializer. */
  readonly inputs: readonly ScannedValue[];
  readonly outputs: readonly ScannedValue[];
  readonly nodeCount: number;
  readonly externalData: readonly ScannedExternalData[];
}

export interface OpsetImport {
  /** `''` is ai.onnx. */
  readonly domain: string;
  readonly version: number;
}

export interface ScannedOperator {
  /** `''` is ai.onnx. */
  readonly domain: string;
  readonly name: string;
}

export interface ScannedValue {
  readonly name: string;
  /** `unstated` where the model leaves the type to the runtime to infer. */
  readonly kind: 'tensor' | 'sparse_tensor' | 'sequence' | 'map' | 'optional' | 'opaque' | 'unstated';
  /** Of a tensor or sparse tensor; `undefined` where not stated or unknown to this version. */
  readonly elementType: ElementType | undefined;
  /** The element type as the file has it; 0 where not stated. */
  readonly elementTypeCode: number;
  /** `undefined`: unknown rank; empty: scalar. */
  readonly dims: readonly ModelDim[] | undefined;
}

/** A constant whose values are in a file beside the model. */
export interface ScannedExternalData {
  readonly tensorName: string;
  /** Relative to the model's folder; empty where the model names no file. */
  readonly location: string;
  /** `undefined` where not stated; NaN where it is not a number. */
  readonly offsetBytes: number | undefined;
  /** `undefined` where not stated; NaN where it is not a number. */
  readonly lengthBytes: number | undefined;
}
