/**
 * Asks nvidia-smi which GPUs the machine has, how much of their memory is taken and how busy they are. Where the
 * program is absent, fails or takes too long there is no answer, which harms nothing. Knows nothing of devices.
 */
import { execFile } from 'node:child_process';

/** One GPU. What the driver does not tell (`[N/A]`, for example on MIG) is absent. */
export interface GpuReading {
  /** In the order of the PCI bus. */
  readonly index: number;
  readonly memoryTotalBytes?: number;
  readonly memoryUsedBytes?: number;
  /** 0 to 1. */
  readonly utilisationRatio?: number;
}

const query = [
  '--query-gpu=index,memory.total,memory.used,utilization.gpu',
  '--format=csv,noheader,nounits',
] as const;

const bytesPerMebibyte = 1024 ** 2;
const longestOutputBytes = 65_536;

function parseNumber(field: string | undefined): number | undefined {
  const text = field?.trim() ?? '';
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** Reads lines like `0, 143771, 512, 7`: MiB and percent. Lines without an index are left out. */
export function parseGpuReadings(text: string): GpuReading[] {
  return text.split('\n').flatMap((line) => {
    const [index, total, used, busy] = line.split(',').map(parseNumber);
    if (index === undefined || !Number.isInteger(index)) return [];
    return [
      {
        index,
        ...(total === undefined ? {} : { memoryTotalBytes: total * bytesPerMebibyte }),
        ...(used === undefined ? {} : { memoryUsedBytes: used * bytesPerMebibyte }),
        ...(busy === undefined ? {} : { utilisationRatio: Math.min(1, busy / 100) }),
      },
    ];
  });
}

/** Resolves with the GPUs, or with why there is no answer, in a few words. Never rejects. */
export function readGpus(limitMs: number, signal?: AbortSignal): Promise<readonly GpuReading[] | string> {
  return new Promise((resolve) => {
    const options = {
      timeout: limitMs,
      killSignal: 'SIGKILL',
      maxBuffer: longestOutputBytes,
      ...(signal === undefined ? {} : { signal }),
    } as const;
    execFile('nvidia-smi', query, options, (error, stdout) => {
      if (error === null) resolve(parseGpuReadings(stdout));
      else if (error.code === 'ENOENT') resolve('nvidia-smi is not on the PATH');
      else if (error.killed === true) resolve(`nvidia-smi did not answer within ${limitMs} ms`);
      else resolve(`nvidia-smi failed: ${stdout.trim().split('\n')[0] || error.message.split('\n')[0]}`);
    });
  });
}
