/** The version of a package, for `--version`, `cluster.info` and the micro service. */
import { readFileSync } from 'node:fs';

/** Reads it from the package's own `package.json`. Throws what `readFileSync` throws where that is not there. */
export function readPackageVersion(packageFile: URL): string {
  return (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
}
