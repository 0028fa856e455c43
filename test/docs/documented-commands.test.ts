/**
 * Every command and every piece of code of README.md and docs/*.md does what the page says, run in order against a
 * cluster, in a folder where a reader's files lie.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { npmEnvironment } from '../../deploy/local/packages.mjs';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { registerIris } from '../harness/iris-model.js';
import { repositoryRoot } from '../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';
import { tinyMlp } from '../models/dense-models.js';
import { type CodeBlock, codeBlocks } from './code-blocks.js';
import { imageModel } from './image-model.js';
import { pooledOf, textModel } from './text-model.js';

/** What is not run here, and why. */
const notRun: readonly { readonly document: string; readonly code: string; readonly why: string }[] = [
  {
    document: 'docs/tracing.md',
    code: 'npm install @opentelemetry/auto-instrumentations-node\nexport NODE_OPTIONS="--import @opentelemetry/auto-instrumentations-node/register"\nexport OTEL_SERVICE_NAME=troupe OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318\nnpx troupe-worker\n',
    why: 'installs packages and wants a collector; test/integration/tracing.test.ts does it with a module of its own',
  },
  {
    document: 'README.md',
    code: 'npm start\nnpm test\n',
    why: 'installs, builds and stays up, or runs this very suite; test/launch holds the launcher',
  },
  {
    document: 'README.md',
    code: 'npx troupe-coordinator\nnpx troupe-worker --devices cpu:0,cpu:1 --slots 16\n',
    why: 'run until they are stopped; the cluster of this test is made of these two commands',
  },
  {
    document: 'docs/benchmarks.md',
    code: 'npm run bench -- quick --json quick.json\n',
    why: 'takes minutes; test/bench runs it in its short form',
  },
];

const documents = [
  'README.md',
  ...readdirSync(join(repositoryRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const blocksOf = (document: string) => codeBlocks(readFileSync(join(repositoryRoot, document), 'utf8'));
const isLeftOut = (document: string, { code }: CodeBlock) =>
  notRun.some((one) => one.document === document && one.code === code);

/** What the examples must answer, beside ending well. */
const answers: Readonly<Record<string, (output: string) => void>> = {
  'node examples/image.mjs image-model picture.rgb\n': (output) => {
    expect(output).to.include('output [1, 3], highest at 2');
  },
  "node examples/token-ids.mjs text-model '[[101,7592,102],[101,2129,2024,2017,102]]'\n": (output) => {
    expect(output).to.include('pooled [2, 4]');
    const numbers =
      output
        .slice(output.lastIndexOf('['))
        .match(/-?\d+(\.\d+)?(e-?\d+)?/g)
        ?.map(Number) ?? [];
    const wanted = [...pooledOf([101, 7592, 102]), ...pooledOf([101, 2129, 2024, 2017, 102])];
    expect(numbers).to.have.length(wanted.length);
    numbers.forEach((number, index) => {
      expect(number).to.be.closeTo(wanted[index] as number, 1e-5);
    });
  },
};

const commandLimitMs = 60_000;

describe('the documentation', function () {
  this.timeout(120_000);
  let cluster: TestCluster | undefined;
  let folder: string;
  let environment: NodeJS.ProcessEnv;

  before(() => {
    folder = temporaryDirectory('documented');
    writeFileSync(join(folder, 'my-model.onnx'), tinyMlp(1));
    writeFileSync(join(folder, 'my-model-2.onnx'), tinyMlp(2));
    copyFileSync(join(repositoryRoot, 'deploy/models/iris/v2/model.onnx'), join(folder, 'iris-2.onnx'));
    // All blue: the third channel, wherever the example puts it.
    const picture = Uint8Array.from({ length: 224 * 224 * 3 }, (_, index) => (index % 3 === 2 ? 255 : 0));
    writeFileSync(join(folder, 'picture.rgb'), picture);
    symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'));
    symlinkSync(join(repositoryRoot, 'examples'), join(folder, 'examples'));
    const commands = join(folder, 'commands');
    mkdirSync(commands);
    const natsCommand = [
      '#!/bin/sh',
      `exec '${process.execPath}' --import tsx '${fileURLToPath(new URL('nats-request.ts', import.meta.url))}' "$@"`,
    ];
    writeFileSync(join(commands, 'nats'), `${natsCommand.join('\n')}\n`, { mode: 0o755 });
    // What npx would find, without the half second of npm's own; test/first-hour types the true one.
    const npxCommand = ['#!/bin/sh', 'command=$1', 'shift', 'exec "./node_modules/.bin/$command" "$@"'];
    writeFileSync(join(commands, 'npx'), `${npxCommand.join('\n')}\n`, { mode: 0o755 });
    const own = Object.entries(npmEnvironment()).filter(([name]) => !/^(TROUPE|NATS|REDIS)_/.test(name));
    environment = {
      ...Object.fromEntries(own),
      PATH: `${commands}${delimiter}${process.env.PATH}`,
    };
  });
  after(() => removeDirectory(folder));
  afterEach(printLogsOnFailure(() => cluster));

  /** Runs a program to its end; what still runs at the limit is ended with all that it started. */
  async function run(
    program: string,
    args: readonly string[],
  ): Promise<{ code: number | null; output: string }> {
    const child = spawn(program, args, {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const timer = setTimeout(() => {
      output += `\nended after ${commandLimitMs} ms`;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, commandLimitMs);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      });
      return { code, output };
    } finally {
      clearTimeout(timer);
    }
  }

  async function runBlock({
    language,
    code,
    line,
  }: CodeBlock): Promise<{ code: number | null; output: string }> {
    if (language === 'sh') return run('/bin/sh', ['-e', '-u', '-c', code]);
    const file = join(folder, `line-${line}.mjs`);
    writeFileSync(file, code);
    return run(process.execPath, [file]);
  }

  for (const document of documents) {
    const blocks = blocksOf(document).filter(
      (block) => (block.language === 'sh' || block.language === 'js') && !isLeftOut(document, block),
    );
    if (blocks.length === 0) continue;
    describe(document, () => {
      // Each page begins where its reader does: nobody has pushed the model of another page.
      before(async () => {
        cluster = await startCluster({ hosts: 0 });
        await cluster.startHost({ name: 'laptop-1' }); // the name on the page
        environment.NATS_URL = cluster.natsUrl;
        const client = await cluster.connect();
        const wants = (model: string) => blocks.some(({ code }) => code.includes(model));
        if (wants('iris')) await registerIris(client, 1);
        if (wants('image-model')) {
          await client.registerModel({ name: 'image-model', bytes: imageModel(), replicas: 1 });
        }
        if (wants('text-model')) {
          await client.registerModel({ name: 'text-model', bytes: textModel(), replicas: 1 });
        }
      });
      after(() => cluster?.stop());

      for (const block of blocks) {
        const first = block.code.split('\n')[0];
        it(`line ${block.line} runs: ${first}`, async () => {
          const { code, output } = await runBlock(block);
          if (block.refused === undefined) {
            expect(code, output).to.equal(0);
            answers[block.code]?.(output);
          } else {
            expect(output).to.include(`[${block.refused}]`);
            expect(code, output).to.equal(1);
          }
        });
      }
    });
  }

  it('has every block that is named as not run, and no other of that text', () => {
    for (const { document, code, why } of notRun) {
      expect(
        blocksOf(document).filter((block) => block.code === code),
        `${document}: ${why}`,
      ).to.have.length(1);
    }
  });

  it('shows every example whose answer is known', () => {
    const shown = new Set(documents.flatMap(blocksOf).map(({ code }) => code));
    expect(Object.keys(answers).filter((code) => !shown.has(code))).to.deep.equal([]);
  });

  it('shows the example of ten lines as it stands in examples/', () => {
    expect(readdirSync(join(repositoryRoot, 'examples'))).to.include('ten-lines.mjs');
    const [shown] = blocksOf('README.md').filter(({ language }) => language === 'js');
    const call = /await troupe\.infer\(.*\)/.exec(shown?.code ?? '')?.[0] ?? 'no call at all';
    expect(readFileSync(join(repositoryRoot, 'examples/ten-lines.mjs'), 'utf8')).to.include(call);
  });
});
