/**
 * The way of a request through a runner, from the message to the answer: record, open, batch, answer, ack. One flow
 * for all lanes of a runner, since they share its credits and its session. Decides nothing about the runner's life.
 */
import {
  asTroupeError,
  defaults,
  type InferRequest,
  isAnswerSubject,
  type Log,
  type ModelVersion,
  type Tensor,
  TroupeError,
  type WireMessage,
} from '@troupe/shared';
import { type CancelMessage, type NatsLink, publishDead, type WorkMessage } from '@troupe/shared/nats';
import type { Holdings } from '../ipc/holdings-book.js';
import type { LoneMessage, RunnerReport, RunnerStatus } from '../ipc/runner-messages.js';
import type { SessionRuns } from '../onnx/session-client.js';
import { AnsweredTraces } from './answered-traces.js';
import { Batcher, type BatchJob, type JobOutcome } from './batcher.js';
import { type HeldRequest, HeldRequests } from './held-requests.js';
import type { Lane } from './lane.js';
import { createLatencyWindow } from './latency-window.js';
import { answerTooLarge, RequestIntake, type ServedModel } from './request-intake.js';
import { StandbyRepeat } from './standby-repeat.js';

export interface RequestFlowOptions {
  readonly link: NatsLink;
  readonly session: SessionRuns;
  readonly served: ServedModel;
  readonly ackWaitMs: number;
  readonly log: Log;
  readonly book: Holdings;
  report(report: RunnerReport): void;
  /** Slots became free, or more may have. */
  onRelease(): void;
}

interface RequestJob extends BatchJob {
  readonly held: HeldRequest;
  readonly request: InferRequest;
}

/** Within this it is recorded what was let go; see `HeldRequests.hasUrgentNews`. */
const releasedRecordMs = 10;

/** After which a pinned request that is left to another runner comes again, doubled each time. */
const firstLeaveMs = 100;

/** Numbers of the flow, as they stand in a status report. */
type FlowStatus = Omit<RunnerStatus, 'kind' | 'natsConnected' | 'lastPullAgoMs'>;

/** See the file's head. */
export class RequestFlow {
  readonly #options: RequestFlowOptions;
  readonly #held: HeldRequests;
  readonly #batcher: Batcher<RequestJob>;
  readonly #intake: RequestIntake;
  readonly #latencies = createLatencyWindow();
  readonly #repeats: StandbyRepeat;
  readonly #traces: AnsweredTraces;
  readonly #renewTimer: NodeJS.Timeout;
  #arrivals: { readonly lane: Lane; readonly message: WorkMessage }[] = [];
  #turnScheduled = false;
  #recordTimer: NodeJS.Timeout | undefined;
  #handingBack = false;
  #longestQueuedMs: number | undefined;
  #completed = 0;
  #failed = 0;
  #idleWaiters: (() => void)[] = [];

  constructor(options: RequestFlowOptions) {
    this.#options = options;
    this.#intake = new RequestIntake(options.served);
    const { link, log, served } = options;
    this.#traces = new AnsweredTraces(log);
    this.#repeats = new StandbyRepeat({ link, log, model: served.model, version: served.version.version });
    this.#held = new HeldRequests(options.book);
    this.#batcher = new Batcher<RequestJob>({
      session: options.session,
      rules: options.served.batching,
      pace: options.served.pace,
      onEnd: (job, outcome) => this.#end(job, outcome),
      onExclusive: (job) =>
        options.report({
          kind: 'running_alone',
          message: job === undefined ? undefined : loneMessage(job.held),
        }),
      onMixedRows: () =>
        options.log.error('a batch gave another number of rows than went in; its requests are run alone'),
    });
    const renewMs = Math.max(1, Math.floor(options.ackWaitMs / 4));
    this.#renewTimer = setInterval(() => this.#renew(renewMs), renewMs);
  }

  /** Messages that are held. */
  get heldCount(): number {
    return this.#held.size + this.#arrivals.length;
  }

  /** Of these, the messages of one lane. */
  heldOf(lane: Lane): number {
    const arrived = this.#arrivals.reduce((count, one) => count + (one.lane === lane ? 1 : 0), 0);
    return this.#held.sizeOf(lane) + arrived;
  }

  /** Its version is on probation, and this one stands by; `undefined`: no longer. */
  set standby(version: ModelVersion | undefined) {
    this.#repeats.standby = version;
  }

  /** Numbers up to now; what is counted since the last status begins anew. */
  takeStatus(nowMs = performance.now()): FlowStatus {
    const p50Ms = this.#latencies.percentile(0.5, nowMs);
    const p99Ms = this.#latencies.percentile(0.99, nowMs);
    const runningMs = this.#batcher.runningMs(nowMs);
    const alone = this.#batcher.runningAlone;
    const repeats = this.#repeats.counts();
    const queuedMs = this.#longestQueuedMs;
    this.#longestQueuedMs = undefined;
    return {
      inFlight: this.heldCount,
      completed: this.#completed,
      failed: this.#failed,
      ...this.#batcher.counts,
      ...(p50Ms === undefined ? {} : { p50Ms }),
      ...(p99Ms === undefined ? {} : { p99Ms }),
      samples: this.#latencies.samples(nowMs),
      ...(queuedMs === undefined ? {} : { queuedMs }),
      ...(repeats === undefined ? {} : { repeats }),
      ...(runningMs === undefined ? {} : { runningMs }),
      ...(alone === undefined ? {} : { runningAlone: loneMessage(alone.held) }),
    };
  }

  /** Takes in a message; what is done with it happens once per turn of the loop. */
  receive(lane: Lane, message: WorkMessage): void {
    this.#arrivals.push({ lane, message });
    if (!lane.covering) this.#longestQueuedMs = Math.max(this.#longestQueuedMs ?? 0, message.queuedMs);
    this.#scheduleTurn();
  }

  /** Answers the request that is meant as cancelled. A run that has begun goes on, for nobody. */
  cancel(lane: Lane, { id, replyTo }: CancelMessage): void {
    for (const held of this.#held.requests()) {
      const { message } = held;
      if (held.lane !== lane || message.requestId !== id) continue;
      if (replyTo !== undefined && message.replyTo !== replyTo) continue;
      this.#withdraw(held);
      this.#answer(held, new TroupeError('request.cancelled', 'the request was cancelled by its caller'));
    }
  }

  /**
   * Hands back what has not begun to run, or everything, and from now on whatever still arrives. The number of
   * messages.
   */
  handBack(which: 'waiting' | 'all'): number {
    this.#handingBack = true;
    let count = this.#takeArrivals().reduce((sum, held) => sum + this.#held.handBack(held), 0);
    for (const held of this.#held.requests()) {
      const runs = held.job !== undefined && !this.#batcher.remove(held.job as RequestJob);
      if (runs && which === 'waiting') continue;
      if (held.job !== undefined) held.job.abandoned = true;
      count += this.#held.handBack(held);
    }
    this.#settled();
    return count;
  }

  /** Resolves when nothing is held any more. */
  idle(): Promise<void> {
    if (this.heldCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Records the last news, makes the last spans and stops its timers. */
  close(): void {
    clearInterval(this.#renewTimer);
    clearTimeout(this.#recordTimer);
    this.#batcher.close();
    this.#held.record();
    this.#traces.flush();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#turnScheduled = false;
    const taken = this.#takeArrivals();
    this.#held.record(); // H1
    for (const held of taken) {
      if (this.#handingBack) this.#held.handBack(held);
      else this.#open(held);
    }
    this.#batcher.pump();
    if (this.#held.hasUrgentNews) this.#scheduleTurn();
    else if (this.#held.hasNews) this.#recordLater();
    if (this.heldCount === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** What was let go: mostly the next turn with arrivals takes it along. */
  #recordLater(): void {
    this.#recordTimer ??= setTimeout(() => {
      this.#recordTimer = undefined;
      this.#held.record();
    }, releasedRecordMs);
  }

  #takeArrivals(): HeldRequest[] {
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    return arrivals.flatMap(({ lane, message }) => this.#held.take(lane, message) ?? []);
  }

  #open(held: HeldRequest): void {
    const { message } = held;
    const { namespace } = this.#options.link.subjects;
    if (
      ![message.replyTo, message.doneTo].every((to) => to === undefined || isAnswerSubject(to, namespace))
    ) {
      this.#options.log.warn({ ref: message.ref }, 'a request names no reply inbox that may be published to');
      this.#held.drop(held);
      this.#settled();
      return;
    }
    if (message.ref.delivery >= defaults.redeliveryLimit) {
      this.#deadLetter(held);
      return;
    }
    const suspect = message.ref.delivery > 1 || this.#options.served.suspects.has(message.ref.streamSequence);
    if (suspect) this.#repeatOr(held, true, () => this.#line(held));
    else this.#line(held);
  }

  /** Puts a request in line to be run. */
  #line(held: HeldRequest): void {
    if (this.#leaveToOwn(held)) return;
    try {
      const job = this.#admit(held);
      held.job = job;
      this.#batcher.add(job);
    } catch (thrown) {
      this.#answer(held, asTroupeError(thrown));
    }
  }

  /** Whether a pinned request went back into its queue, for the runner of its own version to answer it soon. */
  #leaveToOwn(held: HeldRequest): boolean {
    const { lane, message } = held;
    if (!lane.covering || !message.pinned || !lane.ownServes()) return false;
    const { delivery } = message.ref;
    const delayMs = firstLeaveMs * 2 ** (delivery - 1);
    if (delayMs >= message.budgetMs || delivery + 1 >= defaults.redeliveryLimit) return false;
    this.#held.handBack(held, delayMs);
    this.#settled();
    return true;
  }

  /** Gives a request to the standby, where there is one that may have it; else, or where it cannot, `otherwise`. */
  #repeatOr(held: HeldRequest, suspect: boolean, otherwise: () => void): void {
    if (!this.#repeats.mayRepeat(held.lane, held.message)) {
      otherwise();
      return;
    }
    void this.#repeats.repeat(held.message, suspect).then((done) => {
      if (held.released) return;
      if (done) {
        this.#held.drop(held);
        this.#settled();
      } else if (this.#handingBack) {
        this.#held.handBack(held);
        this.#settled();
      } else {
        otherwise();
        this.#scheduleTurn();
      }
    });
  }

  /** Checks a request and makes it a job. Throws what its caller is to be told. */
  #admit(held: HeldRequest): RequestJob {
    const { lane, message } = held;
    const { link } = this.#options;
    if (message.budgetMs <= 0) throw deadlinePassed();
    if (lane.covering && message.pinned) throw this.#versionUnavailable(lane);
    try {
      const { request, job } = this.#intake.open(message, link.maxPayloadBytes());
      // One that may have ended a runner of another version must not take a batch with it.
      const exclusive = job.exclusive || message.suspect === true;
      return Object.assign(job, { request, held, exclusive });
    } catch (thrown) {
      if (lane.covering && this.#wouldFit(message, lane)) throw this.#versionUnavailable(lane);
      throw thrown;
    }
  }

  #versionUnavailable(lane: Lane): TroupeError {
    const { model, version } = this.#options.served;
    return new TroupeError(
      'model.version_unavailable',
      `version ${lane.version.version} of model ${model} is not available now; version ${version.version} stands in for it, and cannot answer this request`,
    );
  }

  /** Whether the version that is covered for would have taken the request: then it is not the request's fault. */
  #wouldFit(message: WorkMessage, lane: Lane): boolean {
    try {
      new RequestIntake({ ...this.#options.served, signature: lane.version.signature }).open(
        message,
        Number.MAX_SAFE_INTEGER,
      );
      return true;
    } catch {
      // Wrong for both versions: its caller is told what is wrong with it.
      return false;
    }
  }

  #end(job: RequestJob, outcome: JobOutcome): void {
    const { held, request } = job;
    // Its end may be what tells a strike from none: it is recorded in this turn.
    if (job.exclusive) this.#scheduleTurn();
    switch (outcome.kind) {
      case 'ran':
        if (this.#repeats.isUnfit(held.lane, held.message, outcome.outputs)) {
          this.#repeatOr(held, false, () => this.#answerOutputs(held, request, outcome.outputs));
        } else {
          this.#answerOutputs(held, request, outcome.outputs);
          // Nobody reads it now: it ran, and a repeat that nobody took was copied, or dropped, by the library.
          this.#options.link.memory.giveBack(held.message.payload);
        }
        return;
      case 'expired':
        this.#answer(held, deadlinePassed());
        return;
      case 'too_large':
        this.#failed += 1;
        this.#answer(held, answerTooLarge(outcome.bytes, this.#options.link.maxPayloadBytes(), 'at least '));
        return;
      case 'failed':
        this.#repeatOr(held, false, () => {
          this.#failed += 1;
          this.#repeats.note(held.message, undefined);
          this.#answer(held, outcome.error);
        });
        return;
    }
  }

  #answerOutputs(held: HeldRequest, request: InferRequest, outputs: readonly Tensor[]): void {
    const { link } = this.#options;
    const degraded = held.lane.covering || held.message.askedVersion !== undefined;
    this.#repeats.note(held.message, outputs);
    let answer: WireMessage | TroupeError;
    try {
      answer = this.#intake.encode(request, outputs, degraded, link.maxPayloadBytes());
      this.#completed += 1;
    } catch (thrown) {
      answer = asTroupeError(thrown);
      this.#failed += 1;
    }
    const nowMs = performance.now();
    this.#latencies.record(nowMs - held.message.arrivedAtMs, nowMs);
    this.#answer(held, answer);
  }

  #answer(held: HeldRequest, answer: WireMessage | TroupeError): void {
    this.#held.answer(held, answer);
    if (held.message.traceparent !== undefined) this.#trace(held, held.message.traceparent, answer);
    this.#settled();
  }

  #trace({ lane, message }: HeldRequest, traceparent: string, answer: WireMessage | TroupeError): void {
    const { model, version } = this.#options.served;
    this.#traces.add({
      traceparent,
      model,
      version: version.version,
      requestId: message.requestId,
      delivery: message.ref.delivery,
      degraded: lane.covering || message.askedVersion !== undefined,
      arrivedAtMs: message.arrivedAtMs,
      answeredAtMs: performance.now(),
      error: answer instanceof TroupeError ? answer : undefined,
    });
  }

  /** Kept for an admin to look at, and answered. Where it cannot be kept, it comes again after `ack_wait`. */
  #deadLetter(held: HeldRequest): void {
    const { link, log, served } = this.#options;
    const target = { model: served.model, version: held.lane.version.version };
    const error = new TroupeError(
      'request.redelivery_limit',
      `the request was delivered ${held.message.ref.delivery} times without an answer and is given up`,
    );
    publishDead(link, target, held.message, error.reason, error.message).then(
      () => this.#answer(held, error),
      (thrown: unknown) => {
        // Handed back, it would be here again at once, and again.
        log.error({ err: thrown, ref: held.message.ref }, 'a dead letter could not be kept');
        this.#held.lapse(held);
        this.#settled();
      },
    );
  }

  #withdraw(held: HeldRequest): void {
    const { job } = held;
    if (job === undefined) return;
    this.#batcher.remove(job as RequestJob);
    job.abandoned = true;
  }

  /** After a release: it is recorded, the pullers hear that there is room, and who waits for the end that it came. */
  #settled(): void {
    if (this.#idleWaiters.length > 0) this.#scheduleTurn();
    this.#recordLater();
    this.#options.onRelease();
  }

  #renew(everyMs: number): void {
    if (this.#held.size === 0) return;
    this.#held.renew(performance.now() - everyMs);
    this.#scheduleTurn();
  }
}

function loneMessage({ message }: HeldRequest): LoneMessage {
  const { doneTo, ref, replyTo, requestId } = message;
  return {
    ...ref,
    requestId,
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(doneTo === undefined ? {} : { doneTo }),
  };
}

function deadlinePassed(): TroupeError {
  return new TroupeError('request.deadline', 'the deadline passed before the request could be run');
}
