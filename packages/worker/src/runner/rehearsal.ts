/**
 * Has made-up requests go the whole way of real ones, over the broker, through the flow and the session and back, before
 * a version takes over from another. Code that has run a few times only is several times slower than it becomes, and a
 * version that gets all traffic within a second would have its first thousand requests wait for it.
 */
import { encodeInferRequest, type Log, TroupeError, type WireMessage } from '@troupe/shared';
import { type NatsLink, openRehearsalQueue, type WorkMessage } from '@troupe/shared/nats';
import { closeBook, HoldingsBook, openBook } from '../ipc/holdings-book.js';
import { createDeferred } from '../onnx/deferred.js';
import type { SessionRuns } from '../onnx/session-client.js';
import { makeInputs } from '../onnx/trial-data.js';
import type { Lane } from './lane.js';
import { RequestFlow } from './request-flow.js';
import type { ServedModel } from './request-intake.js';

/** It ends at the first of these. */
const limits = {
  /** As many as V8 needs to compile what is on the way. */
  requests: 4_000,
  ms: 3_000,
  /** Of the device: it may be that of the version that serves. */
  runMs: 200,
} as const;
/** Sent at once, at most: as many as a pull brings. */
const lotSize = 32;
/** For a lot to be answered. */
const lotLimitMs = 1_000;
/** Where a first run, which is slow, takes longer, the way to it and back is nothing beside it. */
const worthwhileRunMs = 100;

export interface RehearsalOptions {
  readonly link: NatsLink;
  readonly session: SessionRuns;
  readonly served: ServedModel;
  /** What the first run of one row took, in milliseconds; `undefined`: it refuses made-up inputs. */
  readonly rowMs: number | undefined;
  readonly log: Log;
  /** Asked now and then: whether there is still time. */
  mayGoOn(): boolean;
}

/** Resolves with the number of requests that were answered. Never rejects: without it the version serves all the same. */
export async function rehearse(options: RehearsalOptions): Promise<number> {
  const { log, rowMs } = options;
  if (rowMs === undefined || rowMs > worthwhileRunMs) return 0;
  let book: number | undefined;
  try {
    book = openBook();
    return await run(options, book);
  } catch (error) {
    log.debug({ err: error }, 'the rehearsal ended early');
    return 0;
  } finally {
    if (book !== undefined) closeBook(book);
  }
}

async function run({ link, log, mayGoOn, served, session }: RehearsalOptions, book: number): Promise<number> {
  let runMs = 0;
  const flow = new RequestFlow({
    link,
    session: {
      ...session,
      run: async (...what) => {
        const outcome = await session.run(...what);
        if (outcome.kind === 'ran') runMs += outcome.runMs ?? 0;
        return outcome;
      },
    },
    // What runs teach in a process that stands back behind all others would be wrong.
    served: { ...served, pace: undefined },
    ackWaitMs: limits.ms + lotLimitMs,
    log,
    book: new HoldingsBook(book, () => undefined),
    report: () => undefined,
    onRelease: () => undefined,
  });
  const lane = openLane(link, served, (message) => flow.receive(lane, message));
  const request = madeUpRequest(served);
  const endsAtMs = performance.now() + limits.ms;
  let answered = 0;
  try {
    for (let count = 1; mayGoOn(); count = Math.min(2 * count, lotSize)) {
      if (answered >= limits.requests || runMs >= limits.runMs || performance.now() >= endsAtMs) break;
      if (!(await lane.answers(request, count))) break;
      answered += count;
    }
    return answered;
  } finally {
    flow.handBack('all');
    flow.close();
    lane.close();
  }
}

function madeUpRequest({ signature }: ServedModel): WireMessage {
  const dims = signature.inputs.map(({ shape }) => shape?.map((dim) => (dim < 0 ? '' : dim)));
  return encodeInferRequest(
    { inputs: makeInputs(signature.inputs, dims, { rows: 1, otherwise: 2 }, 1) },
    true,
  );
}

interface RehearsalLane extends Lane {
  /** Sends a request so many times; resolves with whether all were answered, in time and without an error. */
  answers(request: WireMessage, count: number): Promise<boolean>;
}

function openLane(
  link: NatsLink,
  { model, version }: ServedModel,
  onMessage: (message: WorkMessage) => void,
): RehearsalLane {
  const queue = openRehearsalQueue(link, model, lotLimitMs, onMessage);
  let open = 0;
  let settle: (allRight: boolean) => void = () => undefined;
  return {
    version,
    covering: false,
    ownServes: () => true,
    pullMore: () => undefined,
    lastPullAgoMs: () => 0,
    answer(message, answer) {
      queue.answer(message, answer);
      open -= 1;
      if (answer instanceof TroupeError) settle(false);
      else if (open === 0) settle(true);
    },
    ack: (message) => queue.ack(message),
    handBack: (message, delayMs) => queue.giveBack(message, delayMs),
    inProgress: (message) => {
      queue.inProgress(message);
      return true;
    },
    stop: async () => undefined,
    close: () => queue.close(),
    answers(request, count) {
      const { promise, resolve } = createDeferred<boolean>();
      const timer = setTimeout(() => settle(false), lotLimitMs);
      settle = (allRight) => {
        clearTimeout(timer);
        resolve(allRight);
      };
      open = count;
      for (let sent = 0; sent < count; sent += 1) queue.send(request);
      return promise;
    },
  };
}
