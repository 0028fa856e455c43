/**
 * Says in one line why a device cannot be used and what to do about it. The only file that knows how ONNX Runtime
 * tells of missing libraries (1.30 on Linux: the exception says that one is missing, standard error says which).
 */
import { type Device, TroupeError } from '@troupe/shared';

const providerNames = { cpu: 'CPU', cuda: 'CUDA', webgpu: 'WebGPU' } as const;

const longestText = 500;

/** Fetches the libraries of the CUDA provider, which are too large for the npm package. */
const fetchProvider =
  'fetch it by npm start -- --gpu, or by ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install.js';
const cudaSystem = 'CUDA 12 and cuDNN 9 come from the system';

/** The file name of the first shared library that was not found, as the dynamic loader says it. */
export function missingLibrary(text: string): string | undefined {
  return /([\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(text)?.[1];
}

/** In one line, without colours, without the runtime's source places and without folders of this machine. */
function readableText(text: string): string {
  const clean = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the runtime colours its log
    .replaceAll(/\u001b\[[0-9;]*m/g, '')
    .replaceAll(/\/onnxruntime_src\/\S+ /g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return clean.length > longestText ? `${clean.slice(0, longestText - 1)}…` : clean;
}

function remedy(device: Device, library: string | undefined): string {
  if (device.kind === 'cpu') return 'is onnxruntime-node installed for this system?';
  if (device.kind === 'webgpu') return 'WebGPU needs a graphics driver with Vulkan';
  if (library === undefined) return `does nvidia-smi list this device? (${cudaSystem})`;
  if (library.startsWith('libonnxruntime')) return `${fetchProvider}; ${cudaSystem}`;
  return `${cudaSystem}: install them where the dynamic loader finds them`;
}

/**
 * The error of a device that does not work: `device.unusable`. `fault` is the runtime's exception or how the probe
 * ended, `log` what the runtime printed meanwhile.
 */
export function deviceFault(device: Device, fault: string, log: string): TroupeError {
  const library = missingLibrary(fault) ?? missingLibrary(log);
  const missing = library === undefined ? '' : `, library ${library} is missing`;
  return new TroupeError(
    'device.unusable',
    `device ${device.name} cannot be used by the ${providerNames[device.kind]} execution provider of ONNX Runtime${missing}: ${readableText(fault)}; ${remedy(device, library)}`,
    { detail: readableText(log) },
  );
}
