/**
 * One process of Troupe's as a child: a built bin, started until it says `ready`, then killed, frozen, thawed or
 * stopped. Under `startCluster`. Every process inherits its cluster's mark in its environment, by which orphans are
 * found; whatever was started here dies with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { isAlive, sendSignal } from '../../deploy/local/processes.mjs';

/** Variable that the processes of one test cluster carry, besides the run id of a whole `npm test`. */
export const clusterMark = 'TROUPE_TEST_CLUSTER';

const readyLimitMs = 60_000;
const logTailBytes = 256 * 1024;

export interface ProcessCommand {
  readonly name: string;
  /** Path of the built bin. */
  readonly bin: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Gets both outputs. */
  readonly logPath: string;
}

/** How a process ended: its exit code, or the signal. */
export type ProcessEnd = number | NodeJS.Signals;

export interface TroupeProcess {
  readonly name: string;
  readonly pid: number;
  readonly alive: boolean;
  /** Resolves with the exit code or signal. */
  readonly ended: Promise<ProcessEnd>;
  /** Sends a signal (default SIGKILL) and waits for the end. Its children are on their own, as in a real crash. */
  kill(signal?: NodeJS.Signals): Promise<ProcessEnd>;
  /** SIGSTOP: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
  /** SIGTERM, and waits for the end within `limitMs` (default 60,000); rejects where it lives on. */
  stop(limitMs?: number): Promise<ProcessEnd>;
  /** The end of what it has printed. */
  log(): string;
}

const running = new Set<ChildProcess>();
const marks = new Set<string>();
let armed = false;

/** At our own exit there is no time to wait: kill by mark, so that runners go, too. */
function armExit(): void {
  if (armed) return;
  armed = true;
  process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL');
    for (const mark of marks) for (const { pid } of livingProcesses(mark)) sendSignal(pid, 'SIGKILL');
  });
}

/** Has everything that carries the mark killed at our exit, until `release` is called. */
export function guardMark(mark: string): () => void {
  armExit();
  marks.add(mark);
  return () => marks.delete(mark);
}

/** Processes that carry the mark of a cluster in their environment, with their command lines. */
export function livingProcesses(mark: string): { readonly pid: number; readonly command: string }[] {
  const wanted = `${clusterMark}=${mark}`;
  const found: { pid: number; command: string }[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(wanted)) continue;
      if (!isAlive({ pid, startedAt: undefined })) continue; // a zombie
      found.push({
        pid,
        command: readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ').trim(),
      });
    } catch {
      // gone in between, or somebody else's
    }
  }
  return found;
}

/** Children of a process whose command line has this text. */
export function childrenOf(parent: number, commandPart: string): number[] {
  const children: number[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(ppid) !== parent || state === 'Z' || state === 'X') continue;
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(commandPart)) children.push(pid);
    } catch {
      // gone in between
    }
  }
  return children.sort((a, b) => a - b);
}

/** Starts a process and resolves once it has said `ready` on file descriptor 3. */
export async function startProcess(command: ProcessCommand): Promise<TroupeProcess> {
  armExit();
  const { name, bin, args, env, logPath } = command;
  if (!existsSync(bin)) throw new Error(`${bin} is not there: build first (npm run build)`);
  // Straight into a file: what it says while our own thread is busy is not lost, and does not block it.
  const logFile = openSync(logPath, 'a');
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', logFile, logFile, 'pipe'],
    detached: true, // the terminal's Ctrl-C comes through us, once
    env: { ...env, TROUPE_READY_FD: '3' },
  });
  closeSync(logFile);
  running.add(child);
  const ended = new Promise<ProcessEnd>((resolve) => {
    const end = (how: ProcessEnd) => {
      running.delete(child);
      resolve(how);
    };
    child.once('exit', (code, signal) => end(signal ?? code ?? 0));
    child.once('error', () => end(127)); // not spawned at all: there is no exit
  });
  const log = () => readFileSync(logPath).subarray(-logTailBytes).toString('utf8');
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string) => reject(new Error(`${name} ${what}\n${log()}`));
      timer = setTimeout(() => fail(`was not ready after ${readyLimitMs} ms`), readyLimitMs);
      void ended.then((how) => fail(`ended at start (${how})`));
      const ready = child.stdio[3];
      ready?.on('error', () => undefined); // closed with the process, whose end is seen anyway
      ready?.on('data', (chunk) => {
        if (String(chunk).includes('ready')) resolve();
      });
    });
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
  // A process that a test forgot does not keep us alive; the exit hook above ends it.
  child.unref();
  (child.stdio[3] as { unref?: () => void } | null | undefined)?.unref?.();

  const alive = () => child.exitCode === null && child.signalCode === null;
  async function end(signal: NodeJS.Signals, limitMs: number): Promise<ProcessEnd> {
    if (!alive()) return ended;
    child.ref();
    child.kill(signal);
    child.kill('SIGCONT'); // a frozen process takes no other signal than SIGKILL
    let late: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      late = setTimeout(
        () => reject(new Error(`${name} lives ${limitMs} ms after ${signal}\n${log()}`)),
        limitMs,
      );
    });
    try {
      return await Promise.race([ended, tooLate]);
    } finally {
      clearTimeout(late);
    }
  }
  return {
    name,
    pid: child.pid ?? 0,
    get alive() {
      return alive();
    },
    ended,
    kill: (signal = 'SIGKILL') => end(signal, 60_000),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: (limitMs = 60_000) => end('SIGTERM', limitMs),
    log,
  };
}
