/**
 * Has made-up requests go the whole way of real ones, over the broker, through lane, flow and session and back, before
 * a version takes over from another. Code that has run a few times only is several times slower than it becomes, and a
 * version that gets all traffic within a second would have its first thousand requests wait for it.
 *
 * What is compiled is compiled for the kinds of objects and callbacks that were met, and thrown away when others come: so
 * the path is of the same making as the one that will serve.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { encodeInferRequest, type WireMessage } from '@troupe/shared';
import { type NatsLink, openRehearsalSource } from '@troupe/shared/nats';
import { closeBook, HoldingsBook, openBook } from '../ipc/holdings-book.js';
import type { ModelSession } from '../onnx/session-client.js';
import { makeInputs } from '../onnx/trial-data.js';
import type { ServedModel } from './request-intake.js';
import { RequestPath, type RequestPathOptions } from './request-path.js';

/** It ends at the first of these. */
const bounds = {
  /** About as many as V8 needs to compile what is on the way. */
  requests: 4_000,
  ms: 3_000,
  /** Of the device: it may be that of the version that serves. */
  runMs: 200,
} as const;
const lookEveryMs = 10;
/** Without an answer for so long, it ends. */
const patienceMs = 1_000;
/** As many as a pull brings: what is held when it ends is run for nobody, in part. */
const credits = 32;
/** Where a first run, which is slow, takes longer, the way to it and back is nothing beside it. */
const worthwhileRunMs = 100;

export interface RehearsalOptions extends Pick<RequestPathOptions, 'served' | 'limits' | 'log'> {
  readonly link: NatsLink;
  readonly session: Pick<ModelSession, 'run' | 'ranMs'> & Partial<Pick<ModelSession, 'takeBuffer'>>;
  /** What the first run of one row took, in milliseconds; `undefined`: it refuses made-up inputs. */
  readonly rowMs: number | undefined;
  /** Asked now and then: whether there is still time. */
  mayGoOn(): boolean;
}

/** Resolves with the number of requests that were answered. Never rejects: without it the version serves all the same. */
export async function rehearse(options: RehearsalOptions): Promise<number> {
  const { log, mayGoOn, rowMs } = options;
  if (rowMs === undefined || rowMs > worthwhileRunMs || !mayGoOn()) return 0;
  let book: number | undefined;
  try {
    book = openBook();
    return await rehearseWith(options, book);
  } catch (error) {
    log.debug({ err: error }, 'the rehearsal ended early');
    return 0;
  } finally {
    if (book !== undefined) closeBook(book);
  }
}

async function rehearseWith(options: RehearsalOptions, book: number): Promise<number> {
  const { limits, link, log, mayGoOn, served, session } = options;
  const source = openRehearsalSource(link, served.model, madeUpRequest(served), bounds.ms + patienceMs);
  const path = new RequestPath({
    served,
    session,
    limits,
    credits,
    source,
    book: new HoldingsBook(book, () => undefined),
    log,
    report: () => undefined,
  });
  const startMs = performance.now();
  const ranMs = session.ranMs;
  let answered = 0;
  let answeredAtMs = startMs;
  try {
    path.attach(link);
    path.lanes.serve(credits);
    while (mayGoOn() && link.isConnected()) {
      await pause(lookEveryMs);
      const nowMs = performance.now();
      const { completed = 0, failed = 0 } = path.flow?.takeStatus(nowMs) ?? {};
      if (completed > answered) answeredAtMs = nowMs;
      answered = completed;
      const over =
        failed > 0 ||
        answered >= bounds.requests ||
        session.ranMs - ranMs >= bounds.runMs ||
        nowMs - startMs >= bounds.ms ||
        nowMs - answeredAtMs >= patienceMs;
      if (over) break;
    }
    return answered;
  } finally {
    source.close();
    await path.abandon();
  }
}

function madeUpRequest({ signature }: ServedModel): WireMessage {
  const dims = signature.inputs.map(({ shape }) => shape?.map((dim) => (dim < 0 ? '' : dim)));
  const inputs = makeInputs(signature.inputs, dims, { rows: 1, otherwise: 2 }, 1);
  return encodeInferRequest({ inputs, binaryOutput: true }, true);
}
