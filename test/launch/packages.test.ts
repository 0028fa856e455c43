import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { isBuilt, sourceDigest } from '../../deploy/local/build.mjs';
import { ensurePackages, inspectPackages, npmEnvironment, npmFault } from '../../deploy/local/packages.mjs';
import { quietContext } from './set-up-context.js';

describe('deciding what to install and build', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'troupe-packages-'));
    write('package-lock.json', lockText('1.0.0'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const lockText = (version: string, integrity = 'sha512-x') =>
    JSON.stringify({
      packages: {
        '': { name: 'clone' },
        'packages/client': { version: '0.1.0', bin: { troupe: 'bin/troupe.js' } },
        'node_modules/@troupe/client': { resolved: 'packages/client', link: true },
        'node_modules/left': { version, integrity },
        'node_modules/for-another-platform': { version: '1.0.0', optional: true },
      },
    });
  const installedText = (version: string, integrity = 'sha512-x') =>
    JSON.stringify({ packages: { 'node_modules/left': { version, integrity } } });

  it('a clone without node_modules is stale', () => {
    expect(inspectPackages(root)).to.deep.equal({ state: 'stale', reason: 'nothing is installed' });
  });

  it('an npm ci that was cut off is stale, though the folder is full', () => {
    write('node_modules/left/index.js', '');
    expect(inspectPackages(root)).to.deep.equal({ state: 'stale', reason: 'an earlier install was cut off' });
  });

  it("somebody else's install of the very versions is taken over, not repeated", async () => {
    write('node_modules/.package-lock.json', installedText('1.0.0'));
    expect(inspectPackages(root)).to.deep.equal({ state: 'unstamped' });
    await ensurePackages(root, quietContext());
    expect(inspectPackages(root)).to.deep.equal({ state: 'current' });
  });

  it("somebody else's install of another version, or of other bytes, is stale", () => {
    for (const text of [installedText('0.9.0'), installedText('1.0.0', 'sha512-y'), '{}', 'torn']) {
      write('node_modules/.package-lock.json', text);
      expect(inspectPackages(root)).to.deep.equal({
        state: 'stale',
        reason: 'package-lock.json has changed',
      });
    }
  });

  it('an install for another platform is stale', async () => {
    write('node_modules/.package-lock.json', installedText('1.0.0'));
    write('node_modules/.troupe-lock-digest', 'plan9-mips 0\n');
    expect(inspectPackages(root)).to.deep.equal({
      state: 'stale',
      reason: 'what is installed is for another platform',
    });
  });

  it('a changed lock file makes a good install stale', async () => {
    write('node_modules/.package-lock.json', installedText('1.0.0'));
    await ensurePackages(root, quietContext());
    write('package-lock.json', lockText('1.0.1'));
    expect(inspectPackages(root)).to.deep.equal({ state: 'stale', reason: 'package-lock.json has changed' });
  });

  it('a command of ours without its link is noticed', async () => {
    write('node_modules/.package-lock.json', installedText('1.0.0'));
    await ensurePackages(root, quietContext());
    write('packages/client/bin/troupe.js', '');
    expect(inspectPackages(root)).to.deep.equal({ state: 'unlinked' });
    mkdirSync(join(root, 'node_modules/.bin'));
    symlinkSync('../../packages/client/bin/troupe.js', join(root, 'node_modules/.bin/troupe'));
    expect(inspectPackages(root)).to.deep.equal({ state: 'current' });
  });

  it('the inner npm is told nothing of the outer one, and to leave the CUDA libraries alone', () => {
    const env = npmEnvironment({
      npm_config_once: 'true',
      npm_config_json: 'true',
      npm_config_loglevel: 'silent',
      npm_config_registry: 'kept',
      npm_lifecycle_event: 'start',
      PATH: '/bin',
    });
    expect(env).to.deep.equal({
      npm_config_registry: 'kept',
      PATH: '/bin',
      ONNXRUNTIME_NODE_INSTALL: 'skip',
    });
  });

  it('a failed install is put into one line: no network, no npm, no room, no right, anything else', () => {
    const lines = [
      npmFault('ci', 1, 'npm error code ENOTFOUND'),
      npmFault('ci', 1, 'npm error code EAI_AGAIN'),
      npmFault('ci', 127, ''),
      npmFault('ci', 1, 'npm error code ENOSPC'),
      npmFault('ci', 243, 'npm error code EACCES'),
      npmFault('ci', 1, 'npm error code EINTEGRITY'),
      npmFault('ci', 7, 'npm error something'),
    ];
    expect(lines.slice(0, 2).every((line) => line.includes('no connection to the npm registry'))).to.equal(
      true,
    );
    expect(lines[2]).to.include('npm is not on the PATH');
    expect(lines[3]).to.include('the disk is full');
    expect(lines[4]).to.include('may not write');
    expect(lines[5]).to.include('damaged');
    expect(lines[6]).to.equal('the packages could not be installed: npm ci ended with code 7');
  });

  it('a build counts as long as no source, setting or compiler has changed and its result is there', () => {
    for (const file of [
      'tsconfig.json',
      'tsconfig.base.json',
      'packages/a/tsconfig.json',
      'packages/a/package.json',
    ])
      write(file, '{}');
    write('packages/a/src/index.ts', 'export {};');
    write('packages/a/dist/index.js', '');
    const first = sourceDigest(root);
    expect(isBuilt(root, first)).to.equal(false);
    write('.troupe/build-digest', `${first}\n`);
    expect(isBuilt(root, first)).to.equal(true);
    write('packages/a/src/deep/more.ts', 'export {};');
    const second = sourceDigest(root);
    expect(isBuilt(root, second)).to.equal(false);
    expect(sourceDigest(root)).to.equal(second);
    rmSync(join(root, 'packages/a/dist'), { recursive: true });
    expect(isBuilt(root, first)).to.equal(false);
  });
});
