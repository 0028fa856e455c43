/** What a benchmark was run on: cores, versions, commit. Read from the machine, never from settings. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { repositoryRoot } from '../harness/repository-root.js';

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  readonly platform: string;
  /** Processes that ran or wanted to, over the last minute, at the end of the benchmark. */
  readonly load1: number;
  readonly versions: Readonly<Record<string, string>>;
  /** `unknown` outside a clone. */
  readonly commit: string;
  /** Whether the clone had changes that were not committed. */
  readonly dirty: boolean;
}

export function describeMachine(): Machine {
  const require = createRequire(import.meta.url);
  const versionOf = (name: string) => (require(`${name}/package.json`) as { version: string }).version;
  const tool = (program: string, args: readonly string[]): string => {
    try {
      return execFileSync(program, args, {
        cwd: repositoryRoot,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      return ''; // not there, or not a clone
    }
  };
  const number = (text: string) => /\d+\.\d+\.\d+/.exec(text)?.[0] ?? 'unknown';
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch} ${release()}`,
    load1: loadavg()[0] ?? Number.NaN,
    versions: {
      node: process.version,
      'onnxruntime-node': versionOf('onnxruntime-node'),
      fastify: versionOf('fastify'),
      nats: versionOf('nats'),
      'nats-server': number(tool('nats-server', ['--version'])),
      'redis-server': number(tool('redis-server', ['--version'])),
    },
    commit: tool('git', ['rev-parse', 'HEAD']).trim() || 'unknown',
    // The page itself changes while it is written.
    dirty: tool('git', ['status', '--porcelain', '-uno', '--', '.', ':!docs/benchmarks*']) !== '',
  };
}
