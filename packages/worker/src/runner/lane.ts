/**
 * One version's queue as a runner serves it: its puller and its cancels. A runner has a lane for its own version and one
 * for each that it covers. Nothing here throws at the runner: a reply inbox comes from outside.
 */
import { type Log, type ModelVersion, TroupeError, type WireMessage } from '@troupe/shared';
import {
  type CancelMessage,
  createWorkPuller,
  type LaneLimits,
  type NatsLink,
  subscribeCancels,
  type WorkMessage,
  type WorkSource,
} from '@troupe/shared/nats';

export interface LaneOptions {
  readonly model: string;
  /** The version whose queue it is. */
  readonly version: ModelVersion;
  /** The runner's own version is another one: answers are marked degraded. */
  readonly covering: boolean;
  /** Whether the version's own runner serves it, too, or will soon again. */
  readonly ownServes: () => boolean;
  readonly limits: LaneLimits;
  /** Default: the version's queue. */
  readonly source?: WorkSource | undefined;
  readonly log: Log;
  readonly freeSlots: () => number;
  /** After each answer that is none of an error. */
  onAnswered?(): void;
  onMessage(lane: Lane, message: WorkMessage): void;
  onCancel(lane: Lane, cancel: CancelMessage): void;
}

/** A queue that is being served. */
export interface Lane {
  readonly version: ModelVersion;
  readonly covering: boolean;
  /** Whether the version's own runner serves it, too, or will soon again. */
  ownServes(): boolean;
  pullMore(): void;
  lastPullAgoMs(): number;
  answer(message: WorkMessage, answer: WireMessage | TroupeError): void;
  ack(message: WorkMessage): void;
  /** To be delivered again at once, or after so many milliseconds. */
  handBack(message: WorkMessage, delayMs?: number): void;
  /** False where it could not be sent. */
  inProgress(message: WorkMessage): boolean;
  /** No new pulls; resolves when nothing more will arrive. What is held is still answered through this lane. */
  stop(): Promise<void>;
  /** Stops listening for cancels: when nothing of this lane is held any more. */
  close(): void;
}

/** Begins to serve a queue. */
export function openLane(link: NatsLink, options: LaneOptions): Lane {
  const { version, log } = options;
  const puller = createWorkPuller(link, {
    model: options.model,
    version: version.version,
    limits: options.limits,
    source: options.source,
    freeSlots: options.freeSlots,
    onMessage: (message) => options.onMessage(lane, message),
    onError: (error) =>
      log.warn({ err: error, version: version.version }, 'pulling failed; it is tried again'),
  });
  const stopCancels = subscribeCancels(link, options.model, version.version, (cancel) =>
    options.onCancel(lane, cancel),
  );

  /** The library throws where the connection was closed for good, or a payload passes a limit that has shrunk. */
  const attempt = (what: string, send: () => void): boolean => {
    try {
      send();
      return link.isConnected();
    } catch (error) {
      log.warn({ err: error }, `${what} could not be sent`);
      return false;
    }
  };
  const lane: Lane = {
    version,
    covering: options.covering,
    ownServes: options.ownServes,
    pullMore: () => puller.pullMore(),
    lastPullAgoMs: () => puller.lastPullAgoMs(),
    answer: (message, answer) => {
      const sent = attempt('an answer', () => puller.answer(message, answer));
      if (sent && !(answer instanceof TroupeError)) options.onAnswered?.();
    },
    ack: (message) => {
      attempt('an ack', () => puller.ack(message));
    },
    handBack: (message, delayMs) => {
      attempt('a message that is handed back', () => puller.giveBack(message, delayMs));
    },
    inProgress: (message) => attempt('an in-progress ack', () => puller.inProgress(message)),
    stop: () => puller.stop(),
    close: () => {
      if (!link.connection.isClosed()) stopCancels();
    },
  };
  puller.start();
  return lane;
}
