import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  ensureCudaProvider,
  fetchEnvironment,
  gpuPlatformFault,
  listGpus,
} from '../../deploy/local/cuda-provider.mjs';
import { SetupFault } from '../../deploy/local/fault.mjs';
import { sendSignal } from '../../deploy/local/processes.mjs';
import { launchCluster } from './launched.js';
import { quietContext } from './set-up-context.js';
import { createStandInClone } from './stand-in-clone.js';

const runtime = 'node_modules/onnxruntime-node';
const libraries = ['shared', 'cuda'].map(
  (name) => `${runtime}/bin/napi-v6/linux/x64/libonnxruntime_providers_${name}.so`,
);

/** Puts an install script into a clone; the stand-in knows the true one's environment and folder. */
function writeInstallScript(root: string, body: string): void {
  mkdirSync(join(root, runtime, 'script'), { recursive: true });
  mkdirSync(join(root, runtime, 'bin/napi-v6/linux/x64'), { recursive: true });
  const start = `
const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const folder = join(__dirname, '../bin/napi-v6/linux/x64');
appendFileSync('fetches', process.env.ONNXRUNTIME_NODE_INSTALL + ' ' + process.env.TMPDIR + '\\n');
const put = (name, text) => writeFileSync(join(folder, 'libonnxruntime_providers_' + name + '.so'), text);
`;
  writeFileSync(join(root, runtime, 'package.json'), '{}'); // CommonJS, whatever the clone is
  writeFileSync(join(root, runtime, 'script/install.js'), `${start}\n${body}\n`);
}

const good = "put('shared', 'a'); put('cuda', 'b'); put('tensorrt', 'c');";

describe('npm start -- --gpu', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'troupe cuda-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const fetches = () =>
    existsSync(join(root, 'fetches'))
      ? readFileSync(join(root, 'fetches'), 'utf8').trimEnd().split('\n')
      : [];
  const faultOf = async (context: object = {}) => {
    try {
      await ensureCudaProvider(root, { ...quietContext(), ...context });
    } catch (error) {
      if (error instanceof SetupFault) return error;
      throw error;
    }
    throw new Error('there was no fault');
  };

  it('fetches the provider once, by the own script of the runtime, and leaves no download behind', async () => {
    writeInstallScript(root, good);
    await ensureCudaProvider(root, quietContext());
    await ensureCudaProvider(root, quietContext());
    expect(fetches()).to.deep.equal([`true ${join(root, '.troupe/cuda-download')}`]);
    for (const library of libraries) expect(existsSync(join(root, library))).to.equal(true);
    expect(existsSync(join(root, '.troupe/cuda-download'))).to.equal(false);
  });

  it('a provider that somebody put there by hand is taken as it is', async () => {
    writeInstallScript(root, good);
    for (const library of libraries) writeFileSync(join(root, library), 'x');
    await ensureCudaProvider(root, quietContext());
    expect(fetches()).to.deep.equal([]);
  });

  it('what an end in the middle has left is fetched anew', async () => {
    writeInstallScript(root, good);
    for (const library of libraries) writeFileSync(join(root, library), 'torn');
    writeFileSync(join(root, runtime, '.troupe-fetching-cuda'), '');
    await ensureCudaProvider(root, quietContext());
    expect(libraries.map((library) => readFileSync(join(root, library), 'utf8'))).to.deep.equal(['a', 'b']);
  });

  it('without a network it says so in one line, and how to do without one; nothing torn is left', async () => {
    writeInstallScript(
      root,
      "put('shared', 'torn'); console.error('Error: getaddrinfo ENOTFOUND api.nuget.org'); process.exit(1);",
    );
    const fault = await faultOf();
    expect(fault.message).to.equal(
      'the CUDA provider could not be fetched: no connection to api.nuget.org (ENOTFOUND); check the network or ' +
        'HTTPS_PROXY, or start without --gpu',
    );
    expect(fault.detail).to.include('By hand: copy libonnxruntime_providers_shared.so');
    for (const library of libraries) expect(existsSync(join(root, library))).to.equal(false);
    for (const library of libraries) writeFileSync(join(root, library), 'by hand');
    await ensureCudaProvider(root, quietContext());
    expect(fetches()).to.have.length(1);
  });

  const refusals: [string, string, string][] = [
    ['a full disk', "console.error('Error: ENOSPC: no space left'); process.exit(1)", 'the disk is full'],
    [
      'a server that refuses',
      "console.error('Error: Failed to download from x. HTTP status code = 403'); process.exit(1)",
      'the server answered with HTTP status 403',
    ],
    ['any other end', 'process.exit(3)', "onnxruntime-node's install script ended with code 3"],
    [
      'a script that fetched something else',
      "put('shared', 'a')",
      'left no libonnxruntime_providers_cuda.so',
    ],
  ];
  for (const [title, script, message] of refusals) {
    it(`${title} is put into one line`, async () => {
      writeInstallScript(root, script);
      expect((await faultOf()).message).to.include(message);
    });
  }

  it('a download that brings nothing more is given up', async () => {
    writeInstallScript(root, 'setInterval(() => {}, 1_000)');
    const fault = await faultOf({ stallMs: 300 });
    expect(fault.message).to.include('nothing came for 0.3 s');
  });

  it('tells the script of a proxy by the name that it knows, and a given one of its own stays', () => {
    const proxyOf = (env: NodeJS.ProcessEnv) => fetchEnvironment(env, '/x').GLOBAL_AGENT_HTTPS_PROXY;
    expect(proxyOf({ https_proxy: 'http://a:1' })).to.equal('http://a:1');
    expect(proxyOf({ HTTPS_PROXY: 'http://a:1', GLOBAL_AGENT_HTTPS_PROXY: 'http://b:2' })).to.equal(
      'http://b:2',
    );
    expect(proxyOf({})).to.equal(undefined);
  });

  it('is refused in one line on other systems', () => {
    expect(gpuPlatformFault({ platform: 'linux', arch: 'x64' })).to.equal(undefined);
    expect(gpuPlatformFault({ platform: 'darwin', arch: 'arm64' })?.message).to.equal(
      "--gpu is for Linux on x64, where ONNX Runtime's CUDA provider exists; this is darwin on arm64: start without it",
    );
  });

  it('offers all GPUs that CUDA shows, and never the processor', async () => {
    const list = (env: NodeJS.ProcessEnv) => listGpus(env, [root], quietContext());
    expect(await list({})).to.equal('cuda:0'); // the host says what is wrong with it
    writeFileSync(
      join(root, 'nvidia-smi'),
      "#!/bin/sh\n[ \"$1\" = -L ] && echo 'GPU 0: A (UUID: GPU-1)' && echo 'GPU 1: B (UUID: GPU-2)'\n",
    );
    chmodSync(join(root, 'nvidia-smi'), 0o755);
    expect(await list({})).to.equal('cuda:0,cuda:1');
    expect(await list({ CUDA_VISIBLE_DEVICES: '1' })).to.equal('cuda:0');
    expect(await list({ CUDA_VISIBLE_DEVICES: 'GPU-2,0,-1,3' })).to.equal('cuda:0,cuda:1');
    expect(await list({ CUDA_VISIBLE_DEVICES: '' })).to.equal('cuda:0');
  });

  it('starts the host on the GPUs, at a second start without a second fetch', async function () {
    if (gpuPlatformFault(process) !== undefined) this.skip();
    this.timeout(60_000);
    const clone = createStandInClone();
    try {
      writeInstallScript(clone.root, good);
      for (let start = 0; start < 2; start += 1) {
        const launched = await launchCluster({
          cwd: clone.root,
          args: ['--gpu'],
          env: { CUDA_VISIBLE_DEVICES: '0,1' },
        });
        try {
          expect(launched.output()).to.include(' with cuda:0 and cuda:1\n');
          sendSignal(launched.npm.pid, 'SIGTERM');
          await launched.expectNothingLeft(20_000);
        } finally {
          await launched.destroy();
        }
      }
      expect(clone.notes().filter((note) => note === 'host offers cuda:0,cuda:1')).to.have.length(2);
      expect(readFileSync(join(clone.root, 'fetches'), 'utf8').trimEnd().split('\n')).to.have.length(1);
    } finally {
      clone.remove();
    }
  });
});
