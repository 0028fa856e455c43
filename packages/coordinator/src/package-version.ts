/** The version of this package, for `cluster.info` and the micro service. */
import { readFileSync } from 'node:fs';

/** Read from the package's own file, which lies beside `src` and `dist` alike. */
export function readPackageVersion(): string {
  const file = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return file.version;
}
