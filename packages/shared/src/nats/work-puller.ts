/**
 * The receiving side of the work lane, used by a runner: pull requests that it accounts for itself, and what they bring.
 * (The library's `consume()` stacks pulls behind long jobs and has no back-pressure.)
 *
 * Invariants
 * P1  Messages asked for and not yet arrived never exceed the free slots at the time of asking, nor `pullWindow`.
 * P2  A runner with free slots always has a pull outstanding, or is about to have one.
 * P3  Pulls of before a reconnect, or of a server that fell silent for three heartbeats, or on a queue that was declared
 *     anew, count as lost.
 * P4  stop() resolves when the server has confirmed that nothing more will come; what arrives until then is handed
 *     out as usual.
 */
import { createInbox, type Msg, type Subscription } from 'nats';
import { defaults } from '../config/defaults.js';
import { EventKind } from '../names/events.js';
import { watchEvents } from './events.js';
import { createFramePublisher } from './frames.js';
import type { NatsLink } from './nats-link.js';
import { createWorkDeliveries, type WorkDeliveries, type WorkMessage } from './work-deliveries.js';
import type { LaneLimits } from './work-lane.js';
import { type WorkSource, workQueueSource } from './work-source.js';

/** The receiving side for one version of a model. */
export interface WorkPuller extends Omit<WorkDeliveries, 'read'> {
  /** Declares the consumer and begins to pull. */
  start(): void;
  /** Tells that slots became free. Cheap; asks at most once a turn. */
  pullMore(): void;
  /** No new pulls; resolves when nothing more will arrive (P4). Idempotent. */
  stop(): Promise<void>;
  /** Since a pull was last outstanding, in milliseconds; 0 while one is. */
  lastPullAgoMs(): number;
}

export interface WorkPullerOptions {
  readonly model: string;
  readonly version: number;
  readonly limits: LaneLimits;
  /** Default: the version's queue. */
  readonly source?: WorkSource | undefined;
  /** Requests that may still be taken now. */
  readonly freeSlots: () => number;
  readonly onMessage: (message: WorkMessage) => void;
  /** Failures that heal by themselves (a declaration that is tried again). */
  readonly onError: (error: unknown) => void;
}

const heartbeatMs = 1_000;
const declareRetryMs = 200;
/** In a cluster of servers a consumer may have a leader long before declarations have one: then pulls go on. */
const declarePatienceMs = 2_000;
/**
 * Messages that may be asked for and not yet read. A process that is killed keeps its socket for some 20 ms while its
 * memory is torn down; what the server sends meanwhile, at most this many, waits for `ack_wait`. So it is no larger
 * than throughput needs: what a turn of the loop takes in one go. (16 cost a fifth of the throughput of a tiny model.)
 */
const pullWindow = 32;
/**
 * Pulls that may be outstanding at once. Each has an inbox of its own: a delivered message bears the subject of its
 * request, so only the subscription that it came by tells which pull it belongs to.
 */
const laneCount = 4;

/** One pull at a time: its inbox, and what is still to come on it. */
interface PullLane {
  readonly inbox: string;
  subscription: Subscription | undefined;
  /** Messages still to come; 0: no pull is outstanding. */
  remaining: number;
  endsAtMs: number;
}

/** Acks that the server sends for a pull: status code in the headers. */
const Status = { Heartbeat: 100, NoMessages: 404, Timeout: 408, Conflict: 409, NoResponders: 503 } as const;

/** Creates the receiving side; nothing happens before start(). */
export function createWorkPuller(link: NatsLink, options: WorkPullerOptions): WorkPuller {
  const { limits, model, version } = options;
  const source = options.source ?? workQueueSource(link, model, version, limits);
  const inbox = createInbox();
  const frames = createFramePublisher(link.connection);
  const { read, ...replies } = createWorkDeliveries(link, frames, source);
  const pullRequests = createPullRequests();

  const lanes: PullLane[] = Array.from({ length: laneCount }, (_, index) => ({
    inbox: `${inbox}.${index}`,
    subscription: undefined,
    remaining: 0,
    endsAtMs: 0,
  }));
  let started = false;
  let stopWatching: () => void = () => undefined;
  let stopped: Promise<void> | undefined;
  let declaring = false;
  let declaringSinceMs = 0;
  let wakeScheduled = false;
  let watchdog: NodeJS.Timeout | undefined;
  let declareTimer: NodeJS.Timeout | undefined;
  let heardAtMs = performance.now();
  let pulledAtMs = performance.now();

  function outstanding(): number {
    let count = 0;
    for (const lane of lanes) count += lane.remaining;
    return count;
  }

  function pullNow(): void {
    wakeScheduled = false;
    if (stopped !== undefined || !started || !link.isConnected()) return;
    // A server drops a pull on a consumer that is not there (yet) without a word, and it would seem outstanding here.
    if (declaring && performance.now() - declaringSinceMs < declarePatienceMs) return;
    const lane = lanes.find((one) => one.remaining === 0);
    if (lane === undefined) return;
    const asked = outstanding();
    const want = Math.min(options.freeSlots(), pullWindow) - asked;
    // Small top-ups wait for company unless nothing is asked for: each pull is a message for the server.
    if (want <= 0 || (asked > 0 && want < Math.max(1, asked >> 2))) return;
    lane.remaining = want;
    lane.endsAtMs = performance.now() + defaults.pullExpiresMs + heartbeatMs;
    // Each may carry its part of the bound, but never less than the largest message.
    const maxBytes = Math.max(Math.floor(defaults.pullBytes / laneCount), link.maxPayloadBytes() + 65_536);
    const payload = pullRequests(want, maxBytes);
    frames.publish({ subject: source.pullSubject, reply: lane.inbox, headers: '', payload });
    pulledAtMs = lane.endsAtMs - defaults.pullExpiresMs - heartbeatMs;
  }

  function wake(): void {
    if (wakeScheduled) return;
    wakeScheduled = true;
    queueMicrotask(pullNow);
  }

  /** Declares stream and consumer again, until it works; then pulls. */
  function declare(): void {
    if (declaring || stopped !== undefined) return;
    declaring = true;
    declaringSinceMs = performance.now();
    clearTimeout(declareTimer);
    source.declare().then(
      () => {
        declaring = false;
        heardAtMs = performance.now();
        wake();
      },
      (error: unknown) => {
        declaring = false;
        options.onError(error);
        if (stopped === undefined) declareTimer = setTimeout(declare, declareRetryMs);
      },
    );
  }

  function forgetPulls(): void {
    for (const lane of lanes) lane.remaining = 0;
  }

  function receive(lane: PullLane, error: Error | null, msg: Msg): void {
    if (error !== null) return;
    heardAtMs = performance.now();
    const message = read(msg, heardAtMs);
    if (message === undefined) {
      // A status, or a message of flow control or of somebody else on our inbox.
      if (!msg.reply || msg.headers?.code) receiveStatus(lane, msg);
      return;
    }
    if (lane.remaining > 0) lane.remaining -= 1;
    options.onMessage(message);
    wake();
  }

  function receiveStatus(lane: PullLane, msg: Msg): void {
    const code = msg.headers?.code ?? 0;
    if (code === Status.Heartbeat) return;
    if (code === Status.NoResponders) {
      forgetPulls();
      declare();
      return;
    }
    const text = msg.headers?.description ?? '';
    if (
      code === Status.NoMessages ||
      (code === Status.Conflict && /consumer deleted|shutdown|leadership/i.test(text))
    ) {
      forgetPulls();
      declare();
      return;
    }
    // Expired, or the next message would pass its max_bytes: this pull delivers nothing more.
    lane.remaining = 0;
    wake();
  }

  /** Notices pulls that died silently, for example with the stream's leader (P3). */
  function watch(): void {
    if (!link.isConnected()) return;
    const now = performance.now();
    for (const lane of lanes) if (lane.endsAtMs < now) lane.remaining = 0;
    if (!declaring && outstanding() > 0 && now - heardAtMs > 3 * heartbeatMs) {
      forgetPulls();
      declare();
    }
    wake();
  }

  async function stopPulling(): Promise<void> {
    stopWatching();
    clearInterval(watchdog);
    clearTimeout(declareTimer);
    forgetPulls();
    if (!started || link.connection.isClosed()) return;
    if (!link.isConnected()) {
      for (const lane of lanes) lane.subscription?.unsubscribe(); // or a reconnect would bring them back
      return;
    }
    // drain() is UNSUB, then PING: what the server had on its way arrives before the PONG, and is still handed out.
    await Promise.all(lanes.map(async (lane) => lane.subscription?.drain().catch(() => undefined)));
  }

  return {
    ...replies,
    start() {
      if (started) return;
      started = true;
      for (const lane of lanes) {
        lane.subscription = link.connection.subscribe(lane.inbox, {
          callback: (error, msg) => receive(lane, error, msg),
        });
      }
      const startAgain = () => {
        forgetPulls();
        declare();
      };
      const stopReconnects = link.onReconnect(startAgain);
      const stopResets = watchEvents(link, [EventKind.QueueReset], ({ data }) => {
        if (data.model === model) startAgain();
      });
      stopWatching = () => {
        stopReconnects();
        stopResets();
      };
      watchdog = setInterval(watch, heartbeatMs / 2);
      declare();
    },
    pullMore: wake,
    stop() {
      stopped ??= stopPulling();
      return stopped;
    },
    lastPullAgoMs: () => (outstanding() > 0 ? 0 : performance.now() - pulledAtMs),
  };
}

/** Pull requests (wire format) by the number of messages they ask for: there are few, and each is sent often. */
function createPullRequests(): (count: number, maxBytes: number) => Uint8Array {
  let requests: Uint8Array[] = [];
  let bytes = 0;
  return (count, maxBytes) => {
    if (maxBytes !== bytes) requests = [];
    bytes = maxBytes;
    requests[count] ??= Buffer.from(
      `{"batch":${count},"max_bytes":${maxBytes},"expires":${defaults.pullExpiresMs}000000,"idle_heartbeat":${heartbeatMs}000000}`,
    );
    return requests[count];
  };
}
