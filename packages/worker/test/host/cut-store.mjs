/**
 * A process that records a stable version and is ended by SIGKILL at its n-th write: the other half of
 * `snapshot-store.test.ts`. Arguments: folder, number of the write, `before` it, `half` through it or `after`
 * it. Prints the names of the writes where it came to the end. Runs the built store: it is started dozens of times.
 */
import { writeFileSync } from 'node:fs';
import { createLog } from '@troupe/shared';
import { createSnapshotStore } from '../../dist/host/snapshot-store.js';
import { realStoreFiles } from '../../dist/host/store-files.js';

const [dir = '', cutText = '0', when = 'before', versionText = '{}', artifact = ''] = process.argv.slice(2);
const cut = Number(cutText);
const names = [];

function die() {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
}

const files = { ...realStoreFiles };
for (const name of ['makeDir', 'writeSynced', 'sync', 'rename', 'link', 'remove', 'touch']) {
  const real = realStoreFiles[name];
  files[name] = async (...args) => {
    names.push(name);
    if (names.length === cut && when === 'before') await die();
    if (names.length === cut && when === 'half' && name === 'writeSynced') {
      writeFileSync(args[0] ?? '', (args[1] ?? '').slice(0, 10));
      await die();
    }
    await real(...args);
    if (names.length === cut) await die();
  };
}

const store = createSnapshotStore({
  dir,
  log: createLog('cut', 'silent'),
  files,
  fetchTo: async (_digest, path) => {
    names.push('fetch');
    writeFileSync(path, when === 'half' && names.length === cut ? artifact.slice(0, 3) : artifact);
    if (names.length === cut) await die();
  },
});
await store.open();
await store.recordStable('iris', JSON.parse(versionText));
process.stdout.write(JSON.stringify(names));
