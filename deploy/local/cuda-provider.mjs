/**
 * Owns `--gpu`: fetching ONNX Runtime's CUDA provider, which is too large for the npm package, and naming the GPUs for
 * the host. The fetch is the install script of onnxruntime-node, run by us: npm runs no install scripts here, and `npm
 * rebuild` skips it likewise. Called by setup.mjs (the fetch, under its lock) and launch.mjs (the names). Judges nothing
 * about drivers, CUDA and cuDNN: the host tries each device at its start and says what is missing.
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Interrupted, lastLines, SetupFault } from './fault.mjs';
import { findCommand } from './servers.mjs';
import { runTool } from './tool.mjs';

const runtimePath = 'node_modules/onnxruntime-node';
/** Where the script puts them, and where the runtime looks: beside itself. */
const libraryPath = `${runtimePath}/bin/napi-v6/linux/x64`;
/** Without these two no CUDA device works; the script fetches TensorRT's as well, which we never ask for. */
const libraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
/** There as long as a fetch is under way: what lies beside it may be torn. */
const underWayPath = `${runtimePath}/.troupe-fetching-cuda`;
const downloadPath = '.troupe/cuda-download';

const pollMs = 500;
/** A download that brings nothing for this long is given up; the script itself would wait for ever. */
const stallMs = 120_000;
/** The first call after a driver was loaded takes seconds for each GPU. */
const listLimitMs = 20_000;

/**
 * Why `--gpu` cannot be had on this system at all, or undefined.
 * @param {{ platform: string, arch: string }} system
 */
export function gpuPlatformFault({ platform, arch }) {
  if (platform === 'linux' && arch === 'x64') return undefined;
  return new SetupFault(
    `--gpu is for Linux on x64, where ONNX Runtime's CUDA provider exists; this is ${platform} on ${arch}: start without it`,
  );
}

/**
 * Fetches the provider unless it is there.
 * @param {string} root the clone, with its packages installed
 * @param {import('./tool.mjs').ToolContext & { progress: import('./progress.mjs').Progress,
 *   env?: NodeJS.ProcessEnv, stallMs?: number }} context
 */
export async function ensureCudaProvider(root, context) {
  const { progress, guard, signal, env = process.env } = context;
  const underWay = join(root, underWayPath);
  if (sizeOf(underWay) === undefined && libraries.every((name) => sizeOf(join(root, libraryPath, name))))
    return;

  // A half of the provider, or one that an end in the middle has torn, is worth nothing.
  const clear = () => {
    for (const name of libraries) rmSync(join(root, libraryPath, name), { force: true });
  };
  clear();
  const folder = join(root, downloadPath);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(underWay, '');
  const stalled = new AbortController();
  const done = new AbortController();
  try {
    const title = 'Fetching the CUDA provider, some hundred MiB';
    const { code, output } = await progress.step(title, (update) => {
      void watchDownload(folder, {
        onBytes: (bytes) => update(`Fetching the CUDA provider: ${Math.floor(bytes / 1024 ** 2)} MiB`),
        onStall: () => stalled.abort('stalled'),
        stallMs: context.stallMs ?? stallMs,
        signal: done.signal,
      });
      return runTool(process.execPath, [join(root, runtimePath, 'script/install.js')], {
        cwd: root,
        env: fetchEnvironment(env, folder),
        guard,
        signal: AbortSignal.any([signal, stalled.signal]),
      });
    });
    const missing = libraries.filter((name) => !sizeOf(join(root, libraryPath, name)));
    if (code !== 0 || missing.length > 0) throw fetchFault(code, output, missing);
  } catch (error) {
    clear();
    if (!(error instanceof Interrupted) || signal.aborted) throw error;
    throw new SetupFault(
      `the CUDA provider could not be fetched: nothing came for ${(context.stallMs ?? stallMs) / 1_000} s; ${advice}`,
    );
  } finally {
    done.abort();
    rmSync(underWay, { force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

const advice = 'check the network or HTTPS_PROXY, or start without --gpu';

/**
 * One line for what went wrong, and below it how to do without a network here.
 * @param {number} code
 * @param {string} output
 * @param {readonly string[]} missing
 */
function fetchFault(code, output, missing) {
  const detail = `${lastLines(output)}\nBy hand: copy ${libraries.join(' and ')} of this release into ${libraryPath}`;
  const cut = 'the CUDA provider could not be fetched';
  const network =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b(?:.* ([\w.-]+\.[a-z]+)\b)?/.exec(
      output,
    );
  if (network !== null)
    return new SetupFault(
      `${cut}: no connection to ${network[2] ?? 'api.nuget.org'} (${network[1]}); ${advice}`,
      {
        detail,
      },
    );
  if (/\bENOSPC\b/.test(output)) return new SetupFault(`${cut}: the disk is full`, { detail });
  if (/\b(EACCES|EPERM|EROFS)\b/.test(output))
    return new SetupFault(`${cut}: this user may not write to node_modules`, { detail });
  const status = /HTTP status code = (\d+)/.exec(output)?.[1];
  if (status !== undefined)
    return new SetupFault(`${cut}: the server answered with HTTP status ${status}; ${advice}`, { detail });
  if (code !== 0)
    return new SetupFault(`${cut}: onnxruntime-node's install script ended with code ${code}; ${advice}`, {
      detail,
    });
  return new SetupFault(`${cut}: onnxruntime-node's install script left no ${missing.join(' and no ')}`, {
    detail,
  });
}

/**
 * Environment of the install script: told to fetch whatever it finds, and into a folder of ours.
 * @param {NodeJS.ProcessEnv} env
 * @param {string} folder
 * @returns {NodeJS.ProcessEnv}
 */
export function fetchEnvironment(env, folder) {
  const proxy = env.GLOBAL_AGENT_HTTPS_PROXY || env.HTTPS_PROXY || env.https_proxy;
  return {
    ...env,
    ONNXRUNTIME_NODE_INSTALL: 'true',
    TMPDIR: folder,
    // The script knows a proxy by this name only.
    ...(proxy ? { GLOBAL_AGENT_HTTPS_PROXY: proxy } : {}),
  };
}

/**
 * Tells how much has come, and once when nothing more does. Ends with its signal.
 * @param {string} folder
 * @param {{ onBytes: (bytes: number) => void, onStall: () => void, stallMs: number, signal: AbortSignal }} watch
 */
async function watchDownload(folder, { onBytes, onStall, stallMs, signal }) {
  let lastBytes = 0;
  let lastMs = performance.now();
  while (!signal.aborted) {
    const bytes = folderBytes(folder);
    if (bytes !== lastBytes) {
      [lastBytes, lastMs] = [bytes, performance.now()];
      onBytes(bytes);
    } else if (performance.now() - lastMs > stallMs) return onStall();
    await delay(Math.min(pollMs, stallMs), undefined, { signal }).catch(() => {}); // the fetch has ended
  }
}

/** @param {string} folder */
function folderBytes(folder) {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + (sizeOf(join(entry.parentPath ?? entry.path, entry.name)) ?? 0), 0);
  } catch {
    return 0; // the script is just clearing up
  }
}

/**
 * All GPUs that CUDA shows this process, as names for `--devices`; `cuda:0` where nvidia-smi tells of none, so that the
 * host says what is wrong with it. Never the processor: nobody who asks for a GPU wants it instead.
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} folders where commands are looked for
 * @param {import('./tool.mjs').ToolContext} context
 */
export async function listGpus(env, folders, { guard, signal }) {
  const visible = env.CUDA_VISIBLE_DEVICES;
  const count =
    visible === undefined ? await countGpus(folders, { guard, signal }) : countVisible(visible.split(','));
  return Array.from({ length: Math.max(1, count) }, (_, index) => `cuda:${index}`).join(',');
}

/**
 * CUDA counts up to the first entry that is none.
 * @param {readonly string[]} entries
 */
function countVisible(entries) {
  const end = entries.findIndex((entry) => !/^\s*(\d+|(GPU|MIG)-.*)\s*$/.test(entry));
  return end === -1 ? entries.length : end;
}

/**
 * @param {readonly string[]} folders
 * @param {import('./tool.mjs').ToolContext} context
 */
async function countGpus(folders, { guard, signal }) {
  const tool = findCommand('nvidia-smi', folders);
  if (tool === undefined) return 0;
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(listLimitMs)]);
    const { output } = await runTool(tool, ['-L'], { guard, signal: limited });
    return output.split('\n').filter((line) => /^GPU \d+:/.test(line)).length;
  } catch (error) {
    if (error instanceof Interrupted && !signal.aborted) return 0; // a driver that hangs
    throw error;
  }
}

/** @param {string} path */
function sizeOf(path) {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
