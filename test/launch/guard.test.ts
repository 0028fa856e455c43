/** What a guard tidies up behind a launcher that died: its own files, and never those of the next start. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';

describe('a guard whose launcher died', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryDirectory('guard');
  });
  afterEach(() => removeDirectory(folder));

  /** Which of its files are there when it has ended. */
  async function left(lockOf: string): Promise<string[]> {
    const [file, lock] = [join(folder, 'cluster.json'), join(folder, 'cluster.lock')];
    writeFileSync(file, '{}');
    writeFileSync(lock, JSON.stringify({ runId: lockOf }));
    const task = { runId: 'mine', files: [file], lock, charges: [] };
    const guard = fork(join(repositoryRoot, 'deploy/local/guard.mjs'), [JSON.stringify(task)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = once(guard, 'exit');
    guard.disconnect();
    await ended;
    return [file, lock].filter((path) => existsSync(path));
  }

  it('removes the files of its run with the lock', async () => {
    expect(await left('mine')).to.deep.equal([]);
  });

  it('leaves them where the next start has the lock', async () => {
    expect(await left('another')).to.have.length(2);
  });
});
