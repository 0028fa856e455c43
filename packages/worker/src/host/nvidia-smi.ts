/**
 * Asks nvidia-smi which GPUs the machine has, how much of their memory is taken, by whom, and how busy they are. Where the
 * program is absent, fails or takes too long there is no answer, which harms nothing. Knows nothing of devices.
 */
import { execFile } from 'node:child_process';
import { readVisibleGpus } from '@troupe/shared';

/** One GPU. What the driver does not tell (`[N/A]`, for example on MIG) is absent. */
export interface GpuReading {
  /** The N of `cuda:N`. */
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

const processQuery = ['--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits'] as const;

/** A name, so that checkers of packages do not take it for one that a package brings. */
const program = 'nvidia-smi';

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

/**
 * Numbers GPUs as CUDA does under `CUDA_VISIBLE_DEVICES`, which nvidia-smi does not know: by their place in that list,
 * up to its first entry that is no GPU. One that is listed by its UUID is there, but without numbers.
 */
export function numberAsCuda(readings: readonly GpuReading[], visible: string | undefined): GpuReading[] {
  if (visible === undefined) return [...readings];
  const numbered: GpuReading[] = [];
  for (const entry of visible.split(',').map((text) => text.trim())) {
    const index = numbered.length;
    const reading = readings.find((candidate) => String(candidate.index) === entry);
    if (reading === undefined && !/^(GPU|MIG)-/.test(entry)) break;
    numbered.push({ ...reading, index });
  }
  return numbered;
}

/** Reads lines like `4711, 512`: a process and its MiB. A process on several GPUs has a line for each. */
export function parseGpuProcesses(text: string): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const line of text.split('\n')) {
    const [pid, used] = line.split(',').map(parseNumber);
    if (pid === undefined || used === undefined) continue;
    bytes.set(pid, (bytes.get(pid) ?? 0) + used * bytesPerMebibyte);
  }
  return bytes;
}

/** GPU memory by process; empty where there is no answer. Never rejects. */
export function readGpuProcesses(limitMs: number): Promise<Map<number, number>> {
  const options = { timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: longestOutputBytes } as const;
  return new Promise((resolve) => {
    execFile(program, processQuery, options, (error, stdout) => {
      resolve(error === null ? parseGpuProcesses(stdout) : new Map());
    });
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
    execFile(program, query, options, (error, stdout) => {
      if (error === null) resolve(numberAsCuda(parseGpuReadings(stdout), readVisibleGpus()));
      else if (error.code === 'ENOENT') resolve('nvidia-smi is not on the PATH');
      else if (error.killed === true) resolve(`nvidia-smi did not answer within ${limitMs} ms`);
      else resolve(`nvidia-smi failed: ${stdout.trim().split('\n')[0] || error.message.split('\n')[0]}`);
    });
  });
}
