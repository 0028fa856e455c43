/** The reference that `npm run docs:api` writes: whole, and made of the docstrings as they are. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';

describe('the API reference', function () {
  this.timeout(120_000);
  let folder: string;
  before(() => {
    folder = temporaryDirectory('reference');
  });
  after(() => removeDirectory(folder));

  it('has a page for everything that the client exports, and the generator finds nothing undocumented', () => {
    const generator = join(repositoryRoot, 'docs/reference/generate.mjs');
    const { status, stderr, stdout } = spawnSync(process.execPath, [generator, folder], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).to.equal('');
    expect(status).to.equal(0);
    const pages = new Set(
      (readdirSync(folder, { recursive: true }) as string[])
        .filter((path) => path.endsWith('.md'))
        .map((path) => path.replace(/^.*[/\\]/, '').replace(/\.md$/, '')),
    );
    const index = readFileSync(join(repositoryRoot, 'packages/client/src/index.ts'), 'utf8');
    const exported = [...index.matchAll(/\{([^}]*)\}/g)].flatMap(([, names = '']) =>
      names.split(',').flatMap((name) => name.replace(/\btype\b/, '').trim() || []),
    );
    expect(exported).to.include.members(['connect', 'TroupeClient', 'TroupeError']);
    expect(exported.filter((name) => !pages.has(name))).to.deep.equal([]);
    const connect = readFileSync(join(folder, 'functions/connect.md'), 'utf8');
    expect(connect).to.include('await using troupe = await connect();');
  });
});
