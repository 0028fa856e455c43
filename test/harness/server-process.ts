/**
 * One real server as a child process: start until it says it is ready, kill, freeze, thaw, start again.
 * Under `startRedis` and `startNats`. Whatever was started here dies with this process, and a server that a test
 * forgot never keeps the process alive.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

const startLimitMs = 60_000;
const exitLimitMs = 30_000;
const logTailChars = 4_000;

export interface ServerCommand {
  /** Program on the PATH. */
  readonly program: string;
  readonly args: readonly string[];
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** What its output contains once it takes connections. */
  readonly readyPattern: RegExp;
}

const running = new Set<ChildProcess>();
const temporary = new Set<string>();

function cleanUp(): void {
  for (const child of running) child.kill('SIGKILL'); // also ends a frozen one
  for (const dir of temporary) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
}

let armed = false;
function armExit(): void {
  if (armed) return;
  armed = true;
  process.on('exit', cleanUp);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const die = () => {
      if (process.listenerCount(signal) > 1) return; // somebody else decides, and 'exit' follows
      // By exit, not by the signal again: whatever else was started is ended by handlers of 'exit'.
      process.exit(128 + constants.signals[signal]);
    };
    process.on(signal, die);
  }
}

/** A directory under the system's temporary folder, removed by `removeDirectory` or at exit. */
export function temporaryDirectory(prefix: string): string {
  armExit();
  const dir = mkdtempSync(join(tmpdir(), `troupe-${prefix}-`));
  temporary.add(dir);
  return dir;
}

export function removeDirectory(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  temporary.delete(dir);
}

const freezeLimitMs = 2_000;

/** Blocks this process, as `freeze()` does not return before it is true. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** True as well where the system does not tell. */
function allThreadsStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) =>
      /\) [TtZX] /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')),
    );
  } catch {
    return true; // no /proc here, or the process has gone
  }
}

/** A running (or killed) server. Not started twice at once: callers await each call. */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #log = '';

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  /** Process id of the running server, or of the last one. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#command.program} was not started`);
    return pid;
  }

  get alive(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** The end of what the server has printed since its last start. */
  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    armExit();
    if (this.alive) throw new Error(`${this.#command.program} is running already (pid ${this.pid})`);
    const { program, args, env, readyPattern } = this.#command;
    this.#log = '';
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    running.add(child);
    this.#exited = new Promise((resolve) => {
      const done = () => {
        running.delete(child);
        resolve();
      };
      child.once('exit', done);
      child.once('error', done); // not spawned at all: there is no exit
    });
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (what: string, cause?: unknown) =>
          reject(new Error(`${program} ${what}\n${this.#log}`, { cause }));
        timer = setTimeout(() => fail(`was not ready after ${startLimitMs} ms`), startLimitMs);
        child.once('error', (error) => fail('could not be started', error));
        child.once('exit', (code, signal) => fail(`ended at start (${signal ?? `code ${code}`})`));
        for (const stream of [child.stdout, child.stderr]) {
          stream?.setEncoding('utf8').on('data', (text: string) => {
            this.#log = (this.#log + text).slice(-logTailChars);
            if (readyPattern.test(this.#log)) resolve();
          });
        }
      });
    } catch (thrown) {
      child.kill('SIGKILL');
      throw thrown;
    } finally {
      clearTimeout(timer);
    }
    child.unref();
    for (const stream of [child.stdout, child.stderr]) {
      (stream as { unref?: () => void } | null)?.unref?.();
    }
  }

  /** Sends a signal and waits until the process has ended. Does nothing where it has ended already. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.alive) return this.#exited;
    child.kill(signal);
    if (signal !== 'SIGKILL') child.kill('SIGCONT'); // a frozen process takes no other signal
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${this.#command.program} lives ${exitLimitMs} ms after ${signal}`)),
        exitLimitMs,
      );
    });
    try {
      await Promise.race([this.#exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops the process as it is: its connections stay open and nothing answers. */
  freeze(): void {
    const child = this.#child;
    if (child?.pid === undefined || !child.kill('SIGSTOP')) return;
    // On a busy machine its threads run on for a while: whoever asks it meanwhile would still be answered.
    const until = performance.now() + freezeLimitMs;
    while (!allThreadsStopped(child.pid) && performance.now() < until) sleep(1);
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }
}

/** Starts a server on the given port, or on free ones until one is really free. */
export async function startOnPort<T>(
  port: number | undefined,
  nextPort: () => Promise<number>,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (port !== undefined) return start(port);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await nextPort());
    } catch (thrown) {
      // Between asking for a port and binding it, another process may have taken it.
      const taken = thrown instanceof Error && /address already in use/i.test(thrown.message);
      if (!taken || attempt === 5) throw thrown;
    }
  }
}
