/**
 * The built twin of a source module, for tests that start it as a process: a process from its sources takes a second of
 * computing to come up, hundreds of times over. Needs the build, as `startCluster` does.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** `…/src/host/main.ts` gives `…/dist/host/main.js`. Throws where it is not there. */
export function builtEntry(source: URL): URL {
  const built = new URL(source.href.replace(/(.*)\/src\/(.*)\.ts$/, '$1/dist/$2.js'));
  const path = fileURLToPath(built);
  if (!existsSync(path)) throw new Error(`${path} is not there: build first (npm run build)`);
  return built;
}
