/**
 * A process of the benchmark and the calls to it: `startChild` in the process that orders, `serveCalls` in the one that
 * works. Messages go over Node's channel; what is measured never does.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const startLimitMs = 60_000;

/** Ended with this process, whatever ends it; one listener for all, or Node would take them for a leak. */
const living = new Set<() => void>();
process.on('exit', () => {
  for (const kill of living) kill();
});

interface Call {
  readonly id: number;
  readonly order: unknown;
}
interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export interface Child<Order, Result> {
  readonly pid: number;
  call(order: Order): Promise<Result>;
  /** Ends it at once: it holds nothing that has to be put in order. */
  stop(): Promise<void>;
}

/** Starts a module beside this file, from the sources here but with Troupe's packages as built. */
export async function startChild<Order, Result>(
  module: string,
  nodeArguments: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Child<Order, Result>> {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
    execArgv: ['--import', 'tsx', ...nodeArguments],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 2, 2, 'ipc'],
    serialization: 'advanced',
    detached: true, // the terminal's Ctrl-C comes through us, once
  });
  const kill = () => child.kill('SIGKILL');
  living.add(kill);
  const waiting = new Map<number, { resolve(result: Result): void; reject(error: Error): void }>();
  let fault: Error | undefined;
  const fail = (error: Error) => {
    fault ??= error;
    for (const { reject } of waiting.values()) reject(fault);
    waiting.clear();
  };
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      fail(error);
      resolve();
    });
    child.once('exit', (code, signal) => {
      fail(new Error(`${module} ended (${signal ?? code})`));
      living.delete(kill);
      resolve();
    });
  });
  let nextId = 1;
  const readyId = 0;
  child.on('message', (message) => {
    const { id, result, error } = message as Answer;
    const caller = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) caller?.resolve(result as Result);
    else caller?.reject(new Error(`${module}: ${error}`));
  });
  const wait = (id: number) =>
    new Promise<Result>((resolve, reject) => {
      if (fault === undefined) waiting.set(id, { resolve, reject });
      else reject(fault);
    });
  const late = setTimeout(() => fail(new Error(`${module} was not ready in time`)), startLimitMs);
  try {
    await wait(readyId);
  } catch (error) {
    kill();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return {
    pid: child.pid ?? 0,
    call(order) {
      const id = nextId;
      nextId += 1;
      const answer = wait(id);
      child.send({ id, order } satisfies Call, (error) => {
        if (error) fail(error);
      });
      return answer;
    },
    async stop() {
      kill();
      await ended;
    },
  };
}

/** Answers the calls of the process that started us, one after another as they come, until it goes away. */
export function serveCalls<Order>(answer: (order: Order) => Promise<unknown>): void {
  const send = (message: Answer) => process.send?.(message);
  process.on('message', (message) => {
    const { id, order } = message as Call;
    answer(order as Order).then(
      (result) => send({ id, result }),
      (error: unknown) =>
        send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  send({ id: 0 });
}
