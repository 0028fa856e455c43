/** Reads a folder of model-serving cases: its manifest, and the files that the manifest names. Its README says how. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '@troupe/shared';
import { readTensorProto } from './tensor-proto.js';

/** One tensor of a set as the manifest lists it. */
interface TensorFile {
  readonly name: string;
  readonly file: string;
}

/** Inputs with the outputs that they must give. */
export interface CaseSet {
  readonly path: string;
  readonly inputs: readonly TensorFile[];
  readonly outputs: readonly TensorFile[];
  readonly compare: 'exact' | 'close';
  readonly tolerance: { readonly rtol: number; readonly atol: number } | null;
  readonly json: { readonly request: string | null };
  readonly binary: { readonly request: string; readonly inference_header_content_length: number } | null;
}

/** A model that must serve. */
export interface PositiveCase {
  readonly id: string;
  readonly path: string;
  readonly model: string;
  readonly model_name: string;
  readonly dtypes: readonly string[];
  readonly outputs: readonly { readonly name: string }[];
  readonly sets: readonly CaseSet[];
}

/** A model that must be refused, or fail with a typed error. */
export interface NegativeCase {
  readonly id: string;
  readonly path: string;
  readonly class: string;
  readonly expect: string;
  readonly request?: CaseSet;
}

/** A valid model with requests that cost much. */
export interface HazardCase {
  readonly id: string;
  readonly path: string;
  readonly requests: readonly {
    readonly file: string;
    /** Begins with `DANGER` where a memory limit is needed to survive it. */
    readonly effect: string;
    /** Elements of the only output. */
    readonly expected?: readonly number[];
  }[];
}

export interface CaseFolder {
  readonly root: string;
  readonly cases: readonly PositiveCase[];
  readonly negative: readonly NegativeCase[];
  readonly hazards: readonly HazardCase[];
}

/** A set with its files read. */
export interface LoadedSet {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly expected: readonly Tensor[];
  /** Exact: bit for bit, NaN aside. */
  readonly tolerance: { readonly absolute: number; readonly relative: number } | 'exact';
  /** Body of a JSON request; undefined where JSON cannot say it, or would be long. */
  readonly jsonRequest: Buffer | undefined;
  readonly binaryRequest: { readonly payload: Buffer; readonly jsonLength: number } | undefined;
}

/** Reads the manifest. Throws where the folder has none. */
export function readCaseFolder(root: string): CaseFolder {
  const manifest = JSON.parse(readFileSync(join(root, 'manifest.json'), 'utf8')) as Partial<CaseFolder>;
  return {
    root,
    cases: manifest.cases ?? [],
    negative: manifest.negative ?? [],
    hazards: manifest.hazards ?? [],
  };
}

/** Only what a pattern finds in id or path; all without one. */
export function selectCases(folder: CaseFolder, pattern: RegExp | undefined): CaseFolder {
  if (pattern === undefined) return folder;
  const keep = <T extends { readonly id: string; readonly path: string }>(list: readonly T[]) =>
    list.filter(({ id, path }) => pattern.test(id) || pattern.test(path));
  return {
    root: folder.root,
    cases: keep(folder.cases),
    negative: keep(folder.negative),
    hazards: keep(folder.hazards),
  };
}

export function readModel(
  folder: CaseFolder,
  model: { readonly path: string; readonly model?: string },
): Buffer {
  return readFileSync(join(folder.root, model.path, model.model ?? 'model.onnx'));
}

/** Reads the files of a set. `.pb` files say every value of every datatype, so they are the truth of all forms. */
export function loadSet(folder: CaseFolder, owner: { readonly path: string }, set: CaseSet): LoadedSet {
  const file = (name: string) => readFileSync(join(folder.root, owner.path, set.path, name));
  const tensors = (list: readonly TensorFile[]) =>
    list.map(({ name, file: path }) => readTensorProto(name, file(path)));
  const { binary, json, tolerance } = set;
  return {
    name: set.path,
    inputs: tensors(set.inputs),
    expected: tensors(set.outputs),
    tolerance:
      set.compare === 'exact' || tolerance === null
        ? 'exact'
        : { absolute: tolerance.atol, relative: tolerance.rtol },
    jsonRequest: json.request === null ? undefined : file(json.request),
    binaryRequest:
      binary === null
        ? undefined
        : { payload: file(binary.request), jsonLength: binary.inference_header_content_length },
  };
}
