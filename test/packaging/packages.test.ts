/** What somebody gets who installs the packages without this repository. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { publint } from 'publint';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { registerIris } from '../harness/iris-model.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import { type PackageName, type PackedPackage, packageNames, packPackage, runIn } from './packed.js';

const require = createRequire(import.meta.url);
const attw = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist/index.js');

function manifestOf(name: PackageName): { version: string; bin?: Record<string, string> } {
  return JSON.parse(readFileSync(join(repositoryRoot, 'packages', name, 'package.json'), 'utf8')) as {
    version: string;
    bin?: Record<string, string>;
  };
}

describe('the packages as published', function () {
  this.timeout(120_000);
  const packed = new Map<PackageName, PackedPackage>();
  const of = (name: PackageName) => packed.get(name) as PackedPackage;
  let folder: string;
  let cluster: TestCluster | undefined;

  before(async () => {
    folder = temporaryDirectory('packed');
    await Promise.all(packageNames.map(async (name) => packed.set(name, await packPackage(name, folder))));
  });
  after(async () => {
    await cluster?.stop();
    removeDirectory(folder);
  });
  afterEach(printLogsOnFailure(() => cluster));

  for (const name of packageNames) {
    it(`@troupe/${name} has a README, the licence, its commands and built code, and no sources or tests`, () => {
      const { files } = of(name);
      expect(files).to.include.members(['README.md', 'LICENSE', 'package.json', 'dist/index.js']);
      expect(files).to.include.members(Object.values(manifestOf(name).bin ?? {}));
      expect(files.filter((path) => /^(src|test)\/|tsbuildinfo$|\.test\./.test(path))).to.deep.equal([]);
      expect(readFileSync(join(repositoryRoot, 'packages', name, 'LICENSE'), 'utf8')).to.equal(
        readFileSync(join(repositoryRoot, 'LICENSE'), 'utf8'),
      );
    });

    for (const [command, path] of Object.entries(manifestOf(name).bin ?? {}))
      it(`${command} says the version of @troupe/${name}`, async () => {
        const said = await runIn(folder, process.execPath, [
          join(repositoryRoot, 'packages', name, path),
          '--version',
        ]);
        expect(said).to.equal(`${manifestOf(name).version}\n`);
      });

    it(`publint finds nothing in @troupe/${name}`, async () => {
      const { messages } = await publint({
        pack: { tarball: Uint8Array.from(readFileSync(of(name).tarball)).buffer },
        strict: true,
      });
      expect(messages).to.deep.equal([]);
    });

    it(`every way into @troupe/${name} has its types`, async () => {
      // attw ends with 1 where it finds a problem, and then its words are in the error.
      await runIn(folder, process.execPath, [
        attw,
        of(name).tarball,
        '--profile=esm-only',
        '--no-definitely-typed',
        '--no-emoji',
      ]);
    });
  }

  describe('the client in an empty project elsewhere', () => {
    let project: string;

    before(async () => {
      project = join(folder, 'project');
      mkdirSync(project);
      writeFileSync(join(project, 'package.json'), '{"name":"elsewhere","private":true,"type":"module"}');
      await runIn(project, 'npm', [
        'install',
        '--ignore-scripts',
        '--prefer-offline',
        '--no-audit',
        '--no-fund',
        of('shared').tarball,
        of('client').tarball,
      ]);
    });

    it('brings neither ONNX Runtime nor a Redis client', () => {
      const installed = readdirSync(join(project, 'node_modules'), { recursive: true, encoding: 'utf8' });
      expect(installed).to.include(join('@troupe', 'client', 'package.json'));
      expect(
        installed.filter((path) => /(^|\/)(onnxruntime-(node|common)|ioredis)$/.test(path)),
      ).to.deep.equal([]);
    });

    it('has a command that knows its help', async () => {
      const command = join(project, 'node_modules/.bin/troupe');
      expect(existsSync(command)).to.equal(true);
      expect(await runIn(project, command, ['--help'])).to.match(/^Usage: troupe/);
    });

    it('runs the example of ten lines, and the command, against a cluster', async () => {
      cluster = await startCluster({ devices: 'cpu:0' });
      await registerIris(await cluster.connect(), 1);
      // Found as a user's cluster is: by the file that a launcher leaves in the folder or above it.
      mkdirSync(join(project, '.troupe'));
      writeFileSync(join(project, '.troupe/cluster.json'), JSON.stringify({ nats: cluster.natsUrl }));
      copyFileSync(join(repositoryRoot, 'examples/ten-lines.mjs'), join(project, 'ten-lines.mjs'));
      expect(await runIn(project, process.execPath, ['ten-lines.mjs'])).to.match(
        /^iris version 1: setosa, \d+\.\d %\n$/,
      );
      const command = join(project, 'node_modules/.bin/troupe');
      const input = '[[5.1,3.5,1.4,0.2]]';
      const answer = await runIn(project, command, ['infer', 'iris', '--input', input, '--json']);
      expect(JSON.parse(answer)).to.include({ model: 'iris', version: 1 });
    });
  });

  it('installed together, each loads, with every way in', async () => {
    const project = join(folder, 'all');
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{"name":"all","private":true,"type":"module"}');
    await runIn(project, 'npm', [
      'install',
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      ...packageNames.map((name) => of(name).tarball),
    ]);
    for (const name of packageNames) {
      const { exports } = JSON.parse(
        readFileSync(join(project, 'node_modules/@troupe', name, 'package.json'), 'utf8'),
      ) as { exports: Record<string, unknown> };
      const ways = Object.keys(exports).map((way) => `await import('@troupe/${name}${way.slice(1)}');`);
      await runIn(project, process.execPath, [
        '--input-type=module',
        `--eval=${ways.join(' ')} process.exit(0)`,
      ]);
    }
  });
});
