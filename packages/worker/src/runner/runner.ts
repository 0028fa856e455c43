/**
 * The life of a runner: one loaded version, from the order to load it until its process may end. Does what its host
 * orders and reports what happens; never ends its own process while a run is under way, except by SIGKILL.
 *
 * - `loading`: the first order; the session thread loads, the link to NATS is being made.
 * - `warm`: made-up runs and golden cases are done; it waits for `serve` and does not pull.
 * - `serving`: `serve` came; its lanes pull.
 * - `draining`: `drain` came: stop pulling, finish within the bound, hand back the rest, report, let go of
 *   everything, so that the process ends by itself.
 */
import {
  asTroupeError,
  createLog,
  encodeError,
  type Log,
  type ModelVersion,
  type Signature,
  TroupeError,
} from '@troupe/shared';
import { connectNats, type LaneLimits, type NatsLink } from '@troupe/shared/nats';
import type { Holdings } from '../ipc/holdings-book.js';
import type { CoverMode, RunnerReport, RunnerSpec } from '../ipc/runner-messages.js';
import { type ModelSession, startSession } from '../onnx/session-client.js';
import { BatchPace } from './batch-pace.js';
import { takeLittle, takeUsualShare } from './gentle-load.js';
import { rehearse } from './rehearsal.js';
import type { ServedModel } from './request-intake.js';
import { RequestPath } from './request-path.js';
import { RestMemory } from './rest-memory.js';
import { warmUp } from './warm-up.js';

/** What a runner needs from its process. */
export interface RunnerProcessDoors {
  /** Where the host finds what is held. */
  readonly book: Holdings;
  report(report: RunnerReport): void;
  /** Nothing is left to do: the channel to the host may no longer keep the process. */
  leave(): void;
  /** Ends the process at once, whatever it does. */
  die(reason: string): void;
}

const statusEveryMs = 250;
const connectRetryMs = 500;
/** On a machine without a free moment it gets nothing done: from then on it loads as any other process. */
const gentleLimitMs = 10_000;
/** For a connection that is not there yet when the model is warm. */
const rehearsalPatienceMs = 1_000;
/** What a runner may still spend on answers after its host died. */
const lastWordsMs = 1_000;

/** See the file's head. */
export class Runner {
  readonly #spec: RunnerSpec;
  readonly #doors: RunnerProcessDoors;
  readonly #log: Log;
  readonly #session: ModelSession;
  readonly #statusTimer: NodeJS.Timeout;
  readonly #leaving = new AbortController();
  readonly #pace: BatchPace | undefined;
  readonly #restMemory = new RestMemory();
  #gentleTimer: NodeJS.Timeout | undefined;
  #warmed = false;
  #link: NatsLink | undefined;
  readonly #path: RequestPath;
  #draining: Promise<void> | undefined;

  constructor(spec: RunnerSpec, doors: RunnerProcessDoors) {
    this.#spec = spec;
    this.#doors = doors;
    const { maxBatchSize, maxDelayMs } = effectiveBatching(spec.version);
    // Who has requests wait for company wants it: then a batch is as large as it may be.
    if (maxBatchSize > 1 && maxDelayMs === 0) this.#pace = new BatchPace(maxBatchSize);
    this.#log = createLog(`runner ${spec.model} v${spec.version.version} ${spec.device}`, spec.logLevel);
    // The session's thread inherits it, and so do its own.
    if (spec.loadsGently !== undefined) {
      takeLittle(process.pid, spec.loadsGently);
      this.#gentleTimer = setTimeout(() => {
        this.#endGentleness().catch((error: unknown) =>
          this.#log.warn({ err: error }, 'it goes on loading gently'),
        );
      }, gentleLimitMs);
    }
    this.#session = startSession({
      modelPath: spec.modelPath,
      device: spec.device,
      intraOpThreads: spec.intraOpThreads,
      signature: spec.version.signature,
    });
    this.#session.lost.then(
      (error) => doors.die(error.message),
      () => undefined,
    );
    this.#path = new RequestPath({
      served: this.#served(),
      session: this.#session,
      limits: this.#limits(),
      credits: spec.credits,
      book: doors.book,
      log: this.#log,
      report: (report) => doors.report(report),
    });
    this.#path.standby = spec.standby;
    this.#statusTimer = setInterval(() => this.#reportStatus(), statusEveryMs);
  }

  /** Loads, warms and connects; reports `loaded` and `warmed`, or `load_failed` and leaves. */
  async load(): Promise<void> {
    const connecting = this.#connect();
    try {
      const { signature, loadMs } = await this.#session.loaded;
      assertSameSignature(signature, this.#spec.version.signature);
      this.#doors.report({ kind: 'loaded', signature, loadMs });
      const { version } = this.#spec;
      const rowMs = await warmUp(this.#session, version, this.#path.standby !== undefined, this.#pace);
      if (this.#isGentle()) await this.#rehearse(connecting, rowMs);
      await this.#endGentleness();
      if (this.#draining !== undefined) return;
      this.#warmed = true;
      this.#doors.report({ kind: 'warmed' });
    } catch (thrown) {
      if (this.#draining !== undefined) return;
      const error = asTroupeError(thrown, 'model.load_failed');
      this.#log.error({ err: error }, 'the model did not load');
      this.#doors.report({ kind: 'load_failed', error: encodeError(error) });
      this.#draining = this.#letGo();
      return;
    }
    await connecting;
  }

  /** Begins to pull, or goes on with other credits. */
  serve(credits: number): void {
    this.#path.lanes.serve(credits);
  }

  /** Serves another version's queue too, or is ready to. */
  cover(version: ModelVersion, mode: CoverMode): void {
    this.#path.lanes.cover(version, mode);
  }

  uncover(version: number): void {
    this.#path.lanes.uncover(version);
  }

  /** Its version is on probation, and `standby` repeats what it cannot answer; `undefined`: no longer. */
  probation(standby: ModelVersion | undefined): void {
    this.#path.standby = standby;
  }

  /** Drains within the bound and lets go. Idempotent. */
  drain(boundMs: number): Promise<void> {
    this.#draining ??= this.#drain(boundMs);
    return this.#draining;
  }

  /** The host is dead: hand back what has not begun, answer what has within a second, and die. */
  async orphaned(): Promise<void> {
    const diesAt = setTimeout(() => this.#doors.die('its host is gone'), lastWordsMs);
    const stopped = this.#path.lanes.stop();
    this.#path.flow?.handBack('waiting');
    await stopped;
    this.#path.flow?.handBack('waiting'); // what arrived until the pulls were off
    await this.#path.flow?.idle();
    this.#leaving.abort();
    await this.#link?.close();
    clearTimeout(diesAt);
    this.#doors.die('its host is gone');
  }

  /** There is time as long as it loads gently: another version serves meanwhile. */
  #isGentle(): boolean {
    return this.#gentleTimer !== undefined && this.#draining === undefined;
  }

  async #rehearse(connecting: Promise<void>, rowMs: number | undefined): Promise<void> {
    await Promise.race([connecting, pause(rehearsalPatienceMs, this.#leaving.signal)]);
    if (this.#link?.isConnected() !== true) return;
    const startMs = performance.now();
    const requests = await rehearse({
      link: this.#link,
      session: this.#session,
      served: this.#served(),
      limits: this.#limits(),
      rowMs,
      log: this.#log,
      mayGoOn: () => this.#isGentle(),
    });
    // What loading and rehearsing left is collected now, not beside the first requests.
    globalThis.gc?.();
    this.#log.debug({ requests, ms: Math.round(performance.now() - startMs) }, 'rehearsed');
  }

  #limits(): LaneLimits {
    const { ackWaitMs, queueLimit, streamBytes } = this.#spec;
    return { ackWaitMs, queueLimit, streamBytes };
  }

  #served(): ServedModel {
    const { model, suspects, version } = this.#spec;
    return {
      model,
      version,
      signature: version.signature,
      batching: effectiveBatching(version),
      pace: this.#pace,
      suspects: new Set(suspects),
    };
  }

  async #endGentleness(): Promise<void> {
    const { loadsGently } = this.#spec;
    if (this.#gentleTimer === undefined || loadsGently === undefined) return;
    clearTimeout(this.#gentleTimer);
    this.#gentleTimer = undefined;
    await takeUsualShare(process.pid, loadsGently);
  }

  async #connect(): Promise<void> {
    const { host, model, namespace, natsAccess, natsReplicas, natsUrl, version } = this.#spec;
    const { signal } = this.#leaving;
    while (!signal.aborted) {
      try {
        const link = await connectNats({
          servers: natsUrl,
          ...(natsAccess === undefined ? {} : { access: natsAccess }),
          name: `troupe-runner ${host} ${model} v${version.version}`,
          namespace,
          ...(natsReplicas === undefined ? {} : { replicas: natsReplicas }),
          log: this.#log,
        });
        if (signal.aborted) await link.close();
        else this.#adopt(link);
        return;
      } catch (thrown) {
        this.#log.warn({ err: thrown }, 'no connection to NATS yet');
        await pause(connectRetryMs, signal);
      }
    }
  }

  #adopt(link: NatsLink): void {
    this.#link = link;
    link.closed.then(
      (error) => {
        if (!this.#leaving.signal.aborted)
          this.#doors.die(`NATS is closed for good: ${error?.message ?? 'no reason'}`);
      },
      () => undefined, // it never rejects
    );
    this.#path.attach(link);
  }

  async #drain(boundMs: number): Promise<void> {
    const { promise: bound, timer } = timeout(boundMs);
    // While disconnected, the confirmation that nothing more will come never comes.
    await Promise.race([this.#path.lanes.stop(), bound]);
    const flow = this.#path.flow;
    if (flow !== undefined) await Promise.race([flow.idle(), bound]);
    clearTimeout(timer);
    const handedBack = flow?.handBack('all') ?? 0;
    await this.#letGo(() => this.#doors.report({ kind: 'drained', handedBack }));
  }

  /** Releases all that keeps the process; `beforeRelease` runs when the last ack has left. */
  async #letGo(beforeRelease: () => void = () => undefined): Promise<void> {
    this.#leaving.abort();
    this.#path.close();
    await this.#link?.close();
    beforeRelease();
    // A run that is under way ends first; a host that has no patience kills the process.
    await this.#session.release();
    clearInterval(this.#statusTimer);
    clearTimeout(this.#gentleTimer);
    this.#doors.leave();
  }

  #reportStatus(): void {
    const nothing = { inFlight: 0, completed: 0, failed: 0, batches: 0, rows: 0 };
    const lastPullAgoMs = this.#draining === undefined ? this.#path.lanes.lastPullAgoMs() : undefined;
    const status = this.#path.flow?.takeStatus() ?? nothing;
    this.#doors.report({
      kind: 'status',
      natsConnected: this.#link?.isConnected() ?? false,
      ...(lastPullAgoMs === undefined ? {} : { lastPullAgoMs }),
      ...status,
    });
    this.#restMemory.look(this.#warmed && status.inFlight === 0 ? status.batches : undefined);
  }
}

/** Requests are merged only where the trial found that they may be, whatever the settings say. */
function effectiveBatching(version: ModelVersion): ModelVersion['batching'] {
  return version.batchable ? version.batching : { ...version.batching, maxBatchSize: 1 };
}

/** A runtime or a file that reads the model otherwise than at registration would answer requests it was not asked. */
function assertSameSignature(loaded: Signature, registered: Signature): void {
  const describe = ({ inputs, outputs }: Signature) =>
    JSON.stringify([inputs, outputs].map((specs) => specs.map(({ name, datatype }) => [name, datatype])));
  if (describe(loaded) === describe(registered)) return;
  throw new TroupeError(
    'model.load_failed',
    `the model's inputs and outputs are not those that were registered: ${describe(loaded)}, registered ${describe(registered)}`,
  );
}

function timeout(ms: number): { promise: Promise<void>; timer: NodeJS.Timeout | undefined } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { promise, timer };
}

/** Waits, or less where the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
