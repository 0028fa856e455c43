/**
 * One runner process from fork to end: orders in, reports out, what it holds, and the verdict over its death.
 * Started by a runner actor of the worker machine; it restarts nothing.
 *
 * 1. What the process held is read from its book once it is dead, never before: nothing is added by then.
 * 2. Only deliveries that are certainly still its own are handed back.
 * 3. It is ended by draining or by SIGKILL; both end here, in one `ended`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment, decodeError, type Log, machineClockMs, TroupeError } from '@troupe/shared';
import { createActor } from 'xstate';
import { type BookedMessage, closeBook, openBook, readBook } from '../ipc/holdings-book.js';
import type {
  HeldMessage,
  LoneMessage,
  RunnerOrder,
  RunnerReport,
  RunnerSpec,
  RunnerStatus,
} from '../ipc/runner-messages.js';
import { gentleCommand } from '../runner/gentle-load.js';
import { startGently } from './gentle-start.js';
import { isHeld, mayHandBack } from './held-messages.js';
import type { RunnerRegister } from './runner-register.js';
import { runnerWatchMachine } from './runner-watch.js';

/** What a host does on NATS for a runner that died. All fire and forget: what gets lost waits for `ack_wait`. */
export interface HandBack {
  nak(message: HeldMessage): void;
  /** Answers with an error and acks. */
  answer(message: LoneMessage, error: TroupeError): void;
  /** Since when stream sequences mean the messages that they mean now, on the machine's clock; `undefined`: not known. */
  serverSinceMs(): number | undefined;
}

export interface RunnerProcessOptions {
  /** Module that the process runs; default the runner of this package. */
  readonly entry?: URL;
  readonly spec: RunnerSpec;
  readonly startMs: number;
  readonly silenceMs: number;
  readonly runLimitMs: number;
  readonly handBack: HandBack;
  /** Its version is on probation: no request is answered for it with an error, another version may do better. */
  isOnProbation?(): boolean;
  readonly register: RunnerRegister;
  readonly log: Log;
  /** Never called after `ended`. */
  onReport(report: RunnerReport): void;
}

/** How a runner ended. */
export interface RunnerEnd {
  /** For people: 'ended by SIGSEGV', 'a run passed the run limit of 30000 ms'. */
  readonly reason: string;
  /** Killed by its own host on purpose, not for a fault. */
  readonly asked: boolean;
  /** It finished what it held and left by itself. */
  readonly drained: boolean;
  /** One request that ran alone brought it down: no fault of the version. */
  readonly blameless: boolean;
  /** The message that it died of, alone and not for the first time. */
  readonly strike?: HeldMessage;
  /** Messages that were handed back for it. */
  readonly handedBack: readonly HeldMessage[];
}

export interface RunnerProcess {
  readonly pid: number | undefined;
  /** The latest status report. */
  readonly status: RunnerStatus | undefined;
  /** Dropped where the process has ended. */
  order(order: RunnerOrder): void;
  /** SIGKILL, without a fault. Idempotent. */
  kill(): void;
  /** Never rejects. */
  readonly ended: Promise<RunnerEnd>;
}

type KillCause = 'asked' | 'mute' | 'silent' | 'stuck' | 'run_limit';

/** From source the sibling is TypeScript too; the loader of this process is handed on by `fork`. */
const ownEntry = new URL(`../runner/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** For the channel to close after the exit was seen, in milliseconds; it does at once unless somebody inherited it. */
const channelCloseMs = 500;
/** Between a runner's end and the return of what it held: the broker has read the end of its connection by then. */
const handBackDelayMs = 10;

/** Forks a runner and orders it to load. A fork that fails is an `ended` like any other. */
export function startRunnerProcess(options: RunnerProcessOptions): RunnerProcess {
  const { spec, log } = options;
  let status: RunnerStatus | undefined;
  let declaredAlone: LoneMessage | undefined;
  let killCause: KillCause | undefined;
  let drained = false;
  let settled = false;

  const book = tryBook(
    () => openBook(),
    'a runner has no book: what it holds when it dies comes again later',
    log,
  );
  // For `RestMemory`, and for `MessageMemory`.
  const node = { command: process.execPath, args: [...process.execArgv, '--expose-gc'] };
  const started =
    spec.loadsGently === undefined ? node : gentleCommand(spec.loadsGently, node.command, node.args);
  const child: ChildProcess = fork(fileURLToPath(options.entry ?? ownEntry), [], {
    execPath: started.command,
    execArgv: [...started.args],
    // In a session of its own: a terminal's Ctrl-C and hang-up reach the host alone, which then drains. The runner
    // dies with the host all the same, by its channel.
    detached: true,
    env: childEnvironment({ ORT_DISABLE_TELEMETRY: '1', MALLOC_MMAP_THRESHOLD_: '131072' }),
    stdio: ['ignore', 2, 2, 'ipc', book ?? 'ignore'], // the last one is its `bookDescriptor`
  });
  const { pid } = child;
  const { startMs, silenceMs } = options;
  const gently =
    pid === undefined || spec.loadsGently === undefined
      ? undefined
      : startGently(pid, spec.loadsGently, startMs, log);
  if (pid !== undefined) options.register.add(pid);

  const endProcess = (cause: KillCause) => {
    killCause ??= cause;
    child.kill('SIGKILL');
  };

  const watch = createActor(runnerWatchMachine, { input: { startMs, silenceMs } });
  watch.subscribe({
    next: (snapshot) => {
      if (snapshot.matches('mute')) endProcess('mute');
      else if (snapshot.matches('silent')) endProcess('silent');
      else if (snapshot.matches('stuck')) endProcess('stuck');
    },
    error: (error) => log.error({ err: error }, 'the watch over a runner failed'),
  });
  watch.start();

  const onStatus = (report: RunnerStatus) => {
    status = report;
    if (report.runningMs !== undefined && report.runningMs > options.runLimitMs) endProcess('run_limit');
  };

  const onMessage = (report: RunnerReport) => {
    if (settled) return;
    gently?.end();
    switch (report.kind) {
      case 'running_alone':
        declaredAlone = report.message;
        return;
      case 'status':
        watch.send({ type: 'runner.heard' });
        onStatus(report);
        break;
      case 'drained':
        drained = true;
        watch.send({ type: 'runner.drained' });
        break;
      case 'loaded':
      case 'warmed':
      case 'load_failed':
      case 'covered':
        watch.send({ type: 'runner.heard' });
        break;
    }
    options.onReport(report);
  };

  /** What it held, once: then the book is let go. */
  const takeBooked = (): readonly BookedMessage[] => {
    if (book === undefined) return [];
    const booked = tryBook(() => readBook(book), 'the book of a runner could not be read', log) ?? [];
    closeBook(book);
    return booked;
  };

  let strike: HeldMessage | undefined;
  let blameless = false;
  let handedBack: readonly HeldMessage[] = [];
  const release = () => {
    const booked = takeBooked();
    const serverSinceMs = options.handBack.serverSinceMs();
    let answered: HeldMessage | undefined;
    const alone = declaredAlone ?? status?.runningAlone;
    if (alone !== undefined && isHeld(booked, alone) && killCause !== 'asked' && killCause !== 'stuck') {
      const answers = killCause === 'run_limit' && alone.replyTo !== undefined && serverSinceMs !== undefined;
      if (answers && options.isOnProbation?.() !== true) {
        // Deterministic: running it again would only end more runners.
        options.handBack.answer(
          alone,
          new TroupeError(
            'model.run_limit',
            `the request's run on ${spec.model} version ${spec.version.version} passed the run limit of ${options.runLimitMs} ms and was ended`,
          ),
        );
        answered = alone;
        blameless = true;
      } else if (alone.delivery > 1 || spec.suspects?.includes(alone.streamSequence) === true) {
        strike = alone;
        blameless = true;
      }
    }
    const { ackWaitMs } = spec;
    handedBack = mayHandBack(booked, { ms: machineClockMs(), ackWaitMs, serverSinceMs }, answered);
  };

  /**
   * Only once the process is gone: on a busy machine its channel closes long before its connection, and the broker would
   * fill the pulls of that with what is given back.
   */
  const giveBack = () => {
    setTimeout(() => {
      for (const message of handedBack) options.handBack.nak(message);
    }, handBackDelayMs);
  };

  const reasonOf = (
    code: number | null,
    signal: NodeJS.Signals | null,
    failure: Error | undefined,
  ): string => {
    if (failure !== undefined) return `it could not be started: ${failure.message}`;
    switch (killCause) {
      case 'asked':
        return 'ended by its host';
      case 'mute':
        return `it said nothing within ${startMs} ms of its start`;
      case 'silent':
        return `silent for more than ${silenceMs} ms`;
      case 'stuck':
        return 'it had drained but did not end by itself';
      case 'run_limit':
        return `a run passed the run limit of ${options.runLimitMs} ms`;
      default:
        if (drained) return 'drained';
        return signal === null ? `ended with exit code ${code}` : `ended by ${signal}`;
    }
  };

  const ended = new Promise<RunnerEnd>((resolve) => {
    let exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    let failure: Error | undefined;
    let disconnected = false;
    let closeTimer: NodeJS.Timeout | undefined;
    const settle = () => {
      if (settled) return;
      release();
      giveBack();
      settled = true;
      clearTimeout(closeTimer);
      gently?.end();
      watch.stop();
      if (pid !== undefined) options.register.remove(pid);
      resolve({
        reason: reasonOf(exit?.code ?? null, exit?.signal ?? null, failure),
        asked: killCause === 'asked',
        drained: drained || killCause === 'stuck',
        blameless,
        ...(strike === undefined ? {} : { strike }),
        handedBack,
      });
    };
    child.once('disconnect', () => {
      disconnected = true;
      child.kill('SIGKILL'); // without its channel a runner has no life; mostly it is dead already
      if (exit !== undefined) settle();
    });
    child.once('exit', (code, signal) => {
      exit = { code, signal };
      if (disconnected) settle();
      else closeTimer = setTimeout(settle, channelCloseMs);
    });
    child.on('error', (error) => {
      if (child.pid !== undefined) {
        log.warn({ err: error, runnerPid: child.pid }, 'a message to a runner was not delivered');
        return;
      }
      failure = error;
      settle();
    });
  });

  child.on('message', (message) => onMessage(message as RunnerReport));

  const order = (message: RunnerOrder) => {
    if (!child.connected) return;
    child.send(message, () => {
      // A channel that broke meanwhile shows as `disconnect`.
    });
  };
  order({ kind: 'load', spec });

  return {
    pid,
    get status() {
      return status;
    },
    order,
    kill: () => endProcess('asked'),
    ended,
  };
}

/** `undefined` where it fails: a full disk costs time when the runner dies, not the runner. */
function tryBook<T>(act: () => T, what: string, log: Log): T | undefined {
  try {
    return act();
  } catch (error) {
    log.warn({ err: error }, what);
    return undefined;
  }
}

/** Text of a load failure as the runner reported it. */
export function loadFailureText(report: Extract<RunnerReport, { kind: 'load_failed' }>): string {
  return decodeError(report.error).message;
}
