/**
 * The whole way of requests through a runner: its queues, and the flow behind them. A runner has one, and its rehearsal
 * makes another of the same kind.
 */
import type { Log, ModelVersion } from '@troupe/shared';
import type { LaneLimits, NatsLink, WorkSource } from '@troupe/shared/nats';
import type { Holdings } from '../ipc/holdings-book.js';
import type { RunnerReport } from '../ipc/runner-messages.js';
import type { SessionRuns } from '../onnx/session-client.js';
import { RequestFlow } from './request-flow.js';
import type { ServedModel } from './request-intake.js';
import { RunnerLanes } from './runner-lanes.js';

export interface RequestPathOptions {
  readonly served: ServedModel;
  readonly session: SessionRuns;
  readonly limits: LaneLimits;
  /** Requests that it may hold at once. */
  readonly credits: number;
  /** Where it pulls; default the version's queue. */
  readonly source?: WorkSource;
  readonly book: Holdings;
  readonly log: Log;
  report(report: RunnerReport): void;
}

/** See the file's head. */
export class RequestPath {
  readonly #options: RequestPathOptions;
  readonly lanes: RunnerLanes;
  #flow: RequestFlow | undefined;
  #standby: ModelVersion | undefined;

  constructor(options: RequestPathOptions) {
    this.#options = options;
    const { model, version } = options.served;
    this.lanes = new RunnerLanes({
      model,
      version,
      limits: options.limits,
      credits: options.credits,
      source: options.source,
      log: options.log,
      heldCount: () => this.#flow?.heldCount ?? 0,
      heldOf: (lane) => this.#flow?.heldOf(lane) ?? 0,
      onMessage: (lane, message) => this.#flow?.receive(lane, message),
      onCancel: (lane, cancel) => this.#flow?.cancel(lane, cancel),
      onCovered: (covered, answeredNs) =>
        options.report({ kind: 'covered', version: covered, answeredNs: String(answeredNs) }),
    });
  }

  /** `undefined` until there is a connection. */
  get flow(): RequestFlow | undefined {
    return this.#flow;
  }

  /** Its version is on probation, and this one stands by; `undefined`: no longer. */
  get standby(): ModelVersion | undefined {
    return this.#standby;
  }

  set standby(version: ModelVersion | undefined) {
    this.#standby = version;
    if (this.#flow !== undefined) this.#flow.standby = version;
  }

  /** There is a connection: lanes that were asked for open now. */
  attach(link: NatsLink): void {
    const { book, limits, log, report, served, session } = this.#options;
    this.#flow = new RequestFlow({
      link,
      session,
      served,
      ackWaitMs: limits.ackWaitMs,
      log,
      book,
      report: (what) => report(what),
      onRelease: () => this.lanes.pullMore(),
    });
    this.#flow.standby = this.#standby;
    this.lanes.attach(link);
  }

  /** Stops and hands back what is held. */
  async abandon(): Promise<void> {
    const stopped = this.lanes.stop();
    this.#flow?.handBack('all');
    await stopped;
    this.#flow?.handBack('all'); // what arrived until the pulls were off
    this.close();
  }

  /** Lets go, when nothing is held any more. */
  close(): void {
    this.#flow?.close();
    this.lanes.close();
  }
}
