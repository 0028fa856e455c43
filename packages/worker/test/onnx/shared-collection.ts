/** The shared case collection, which lies beside the repository and is not part of it. Absent: tests skip, loudly. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const casesRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../../../shared/cases');

export interface CaseSet {
  readonly path: string;
  readonly compare: 'exact' | 'close';
  readonly tolerance: { readonly rtol: number; readonly atol: number } | null;
  readonly json?: { readonly request: string | null; readonly expected: string | null } | null;
  readonly binary?: {
    readonly request: string | null;
    readonly inference_header_content_length: number;
  } | null;
}

export interface CollectionCase {
  readonly id: string;
  readonly path: string;
  readonly class?: string;
  readonly sets?: readonly CaseSet[];
}

export interface Collection {
  readonly cases: readonly CollectionCase[];
  readonly negative: readonly CollectionCase[];
  readonly hazards: readonly CollectionCase[];
}

/** The manifest; `undefined` and a warning where the collection is not there. */
export function readCollection(whatIsLost: string): Collection | undefined {
  const file = path.join(casesRoot, 'manifest.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Collection;
  console.warn(`      SKIPPED: no shared model collection at ${casesRoot}; ${whatIsLost}`);
  return undefined;
}

export function caseFile(entry: { readonly path: string }, ...rest: readonly string[]): string {
  return path.join(casesRoot, entry.path, ...rest);
}
