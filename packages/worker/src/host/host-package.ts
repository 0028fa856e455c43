/** Versions that a host reports: its own, and that of the runtime that its runners load. */
import { readFileSync } from 'node:fs';

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Read from this package's own file: the host itself never loads the runtime, and its version is pinned there. */
export function readPackageVersions(): { readonly troupe: string; readonly runtime: string } {
  const file = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as PackageFile;
  return { troupe: file.version, runtime: file.dependencies['onnxruntime-node'] ?? 'unknown' };
}
