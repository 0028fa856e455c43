/** The lint rules that hold the architecture are fed known-bad files: a rule that stopped working would say nothing. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const root = resolve(import.meta.dirname, '../..');
const oxlint = join(root, 'node_modules/.bin/oxlint');
const run = promisify(execFile);

/** Path → text, and what the linter must say about it (`undefined`: nothing). */
const cases: readonly { path: string; text: string; says: RegExp | undefined }[] = [
  {
    path: 'packages/client/src/sdk/a.ts',
    text: "import 'nats';\n",
    says: /only packages\/shared\/src\/nats/,
  },
  {
    path: 'packages/shared/src/protocol/a.ts',
    text: "import 'nats';\n",
    says: /only packages\/shared\/src\/nats/,
  },
  { path: 'packages/shared/src/nats/a.ts', text: "import 'nats';\n", says: undefined },
  {
    path: 'packages/worker/src/host/a.ts',
    text: "import 'ioredis';\n",
    says: /only packages\/shared\/src\/redis/,
  },
  { path: 'packages/shared/src/redis/a.ts', text: "import 'ioredis';\n", says: undefined },
  { path: 'packages/shared/src/redis/b.ts', text: "import 'nats';\n", says: /'nats'/ },
  {
    path: 'packages/worker/src/host/b.ts',
    text: "import 'onnxruntime-node';\n",
    says: /only packages\/worker\/src\/onnx/,
  },
  { path: 'packages/worker/src/onnx/a.ts', text: "import 'onnxruntime-node';\n", says: undefined },
  { path: 'packages/worker/src/runner/a.ts', text: "import '@troupe/client';\n", says: /never each other/ },
  { path: 'packages/coordinator/src/a.ts', text: "import '@troupe/worker';\n", says: /never each other/ },
  { path: 'packages/coordinator/src/b.ts', text: "import '@troupe/shared/nats';\n", says: undefined },
  { path: 'packages/shared/src/a.ts', text: "import '@troupe/client';\n", says: /imports no sibling/ },
  {
    path: 'packages/client/src/b.ts',
    text: 'export const url = process.env.NATS_URL;\n',
    says: /process\.env/,
  },
  {
    path: 'packages/shared/src/config/environment.ts',
    text: 'export const all = process.env;\n',
    says: undefined,
  },
];

describe('the lint rules that hold the architecture', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troupe-lint-'));
    await cp(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  for (const { path, text, says } of cases) {
    it(`${says === undefined ? 'let pass' : 'refuse'} ${text.trim()} in ${path}`, async () => {
      const file = join(folder, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
      const { code, output } = await run(oxlint, [path], { cwd: folder }).then(
        ({ stdout }) => ({ code: 0, output: stdout }),
        (error: { code: number; stdout: string }) => ({ code: error.code, output: error.stdout }),
      );
      if (says === undefined) {
        expect(output).to.not.match(/no-restricted-imports|no-process-env/);
        expect(code).to.equal(0);
      } else {
        expect(output).to.match(says);
        expect(code).to.equal(1);
      }
    });
  }
});
