/**
 * Runs `npm start` in a clone (the true one or a stand-in), with or without a terminal, and knows all its processes: by
 * the pids that it recorded and by the run id in their environment. Used by the tests of signals.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import {
  findByRunId,
  type Identity,
  identify,
  isAlive,
  sendSignal,
  sweepRun,
} from '../../deploy/local/processes.mjs';
import { waitUntil } from '../harness/wait-until.js';

export interface Launched {
  /** npm itself, or the terminal around it. */
  readonly child: ChildProcess;
  readonly npm: Identity;
  readonly launcher: Identity;
  readonly guard: Identity;
  readonly runId: string;
  /** The guard that has taken the place of `guard`, if one has. */
  readonly currentGuard: () => Identity | undefined;
  readonly output: () => string;
  readonly errors: () => string;
  /** Exit code of npm (of the terminal, where there is one); `null` where a signal ended it. */
  readonly exitCode: Promise<number | null>;
  /** Fails where anything that was started is still alive at the end of the limit. */
  expectNothingLeft(limitMs: number): Promise<void>;
  /** For `finally`: ends everything at once. */
  destroy(): Promise<void>;
}

export interface LaunchedOptions {
  readonly cwd: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** In a pseudo-terminal: what is written to `child.stdin` is typed. */
  readonly terminal?: boolean;
  readonly readyMs?: number;
}

/** Starts it and waits for the line that ends a good start. */
export async function launchCluster(options: LaunchedOptions): Promise<Launched> {
  const words = ['npm', 'start', '--', ...(options.args ?? [])];
  // `exec`: a shell that stayed in between (dash does, bash does not) would take the Ctrl-C as its own end, with 130.
  const [command = '', ...args] =
    options.terminal === true ? ['script', '-qfec', `exec ${words.join(' ')}`, '/dev/null'] : words;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: innerEnvironment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const exitCode = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code));
  });
  let ended = false;
  void exitCode.then(() => {
    ended = true;
  });
  const lockPath = join(options.cwd, '.troupe/cluster.lock');
  try {
    await waitUntil('the cluster is up', () => ended || output.includes('Ctrl-C ends it.'), {
      timeoutMs: options.readyMs ?? 60_000,
    });
    if (ended) throw new Error(`npm start has ended:\n${output}\n${errors}`);
  } catch (thrown) {
    child.kill('SIGTERM');
    throw thrown;
  }
  const readLock = () =>
    JSON.parse(readFileSync(lockPath, 'utf8')) as {
      pid: number;
      startedAt: string;
      runId: string;
      guard: Identity;
    };
  const lock = readLock();
  const launcher = { pid: lock.pid, startedAt: lock.startedAt };
  const npm = identify(parentOf(lock.pid));
  const atWork = findByFolder(join(options.cwd, '.troupe')).map(identify);
  const alive = () =>
    [
      ...[npm, launcher, lock.guard, ...atWork].filter(isAlive).map(({ pid }) => pid),
      ...findByRunId(lock.runId),
    ].filter((pid, index, all) => all.indexOf(pid) === index);
  return {
    child,
    npm,
    launcher,
    guard: lock.guard,
    runId: lock.runId,
    exitCode,
    currentGuard() {
      const { guard } = readLock();
      return guard.pid === lock.guard.pid ? undefined : guard;
    },
    output: () => output,
    errors: () => errors,
    async expectNothingLeft(limitMs) {
      await waitUntil(
        `nothing of the run is left, but ${alive().join(', ')} is`,
        () => alive().length === 0,
        {
          timeoutMs: limitMs,
        },
      );
    },
    async destroy() {
      for (const identity of [npm, launcher]) if (isAlive(identity)) sendSignal(identity.pid, 'SIGKILL');
      child.kill('SIGKILL');
      await sweepRun(lock.runId);
      await waitUntil('the guard is gone', () => !isAlive(lock.guard), { timeoutMs: 30_000 });
    },
  };
}

/** The environment of a user's shell: without what npm and this test run have put into ours. */
export function innerEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const shell = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD$|NODE_OPTIONS$|NATS_URL$|REDIS_URL$|TROUPE_(?!RUN_ID$))/.test(name),
  );
  return { ...Object.fromEntries(shell), ...extra };
}

/** Processes that work in a folder or below it: Redis, whatever has become of its environment. */
function findByFolder(folder: string): number[] {
  const real = realpathSync(folder);
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    try {
      return Number.isInteger(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(`${real}/`) ? [pid] : [];
    } catch {
      // gone in between, or somebody else's
      return [];
    }
  });
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
