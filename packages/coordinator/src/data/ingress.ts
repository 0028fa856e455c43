/**
 * The door for plain NATS clients: `<ns>.infer.<model>[.<version or label>]`. Routes a request and publishes it to
 * the work lane with the caller's own inbox as reply, so that the answer comes straight from the runner and outlives
 * this coordinator. The ingress itself only sends errors, keeps the deadline, and repeats what may be lost.
 */
import { randomUUID } from 'node:crypto';
import { asTroupeError, isAnswerSubject, type Log, type TroupeError } from '@troupe/shared';
import {
  answerIngress,
  createWorkSubmitter,
  type IngressRequest,
  type NatsLink,
  serveIngress,
} from '@troupe/shared/nats';
import { checkIngressRequest } from './ingress-request.js';
import type { RoutingTable } from './routing-table.js';

/** Requests that may be open at once in one coordinator; more are refused with `queue.full`. */
const maxOpen = 20_000;

export interface IngressOptions {
  readonly link: NatsLink;
  readonly table: RoutingTable;
  /** Deadline of requests that name none. */
  readonly deadlineMs: number;
  readonly log: Log;
}

export interface Ingress {
  /** Opens the door. */
  start(): void;
  readonly openCount: number;
  /** Closes the door, then waits until what is open is answered, at most `boundMs`. Idempotent. */
  drain(boundMs: number): Promise<void>;
  /** Forgets what is open: answers still reach their callers, who time themselves out otherwise. */
  close(): void;
}

/** Creates the door; closed before `start()`. */
export function createIngress({ link, table, deadlineMs, log }: IngressOptions): Ingress {
  const submitter = createWorkSubmitter(link, { maxOpen });
  // Ids of requests without one: unique over all coordinators, cheap for each request.
  const idPrefix = randomUUID();
  let sequence = 0;
  let stopDoor: (() => Promise<void>) | undefined;
  let draining: Promise<void> | undefined;
  let notifyEmpty: () => void = () => undefined;

  function nextId(): string {
    sequence += 1;
    return `${idPrefix}-${sequence.toString(36)}`;
  }

  async function forward(request: IngressRequest, replyTo: string): Promise<void> {
    const checked = checkIngressRequest(request, deadlineMs);
    const { version, route, pinned } = table.pick(checked.model, checked.selector);
    await submitter.submit({
      model: checked.model,
      version,
      pinned,
      ...(route.state === 'cold' ? { demand: true } : {}),
      message: checked.message,
      requestId: checked.requestId ?? nextId(),
      deadlineMs: checked.deadlineMs,
      answerTo: replyTo,
      ...(request.sticky === undefined ? {} : { sticky: request.sticky }),
      ...(checked.traceparent === undefined ? {} : { traceparent: checked.traceparent }),
    });
  }

  function receive(request: IngressRequest): void {
    const { replyTo } = request;
    if (replyTo === undefined || !isAnswerSubject(replyTo, link.subjects.namespace)) {
      // Nobody could, or nobody should, hear the answer there: running the request would be for nothing.
      log.debug(
        { subject: request.tokens.join('.').slice(0, 200) },
        'a request without an inbox for its answer was dropped',
      );
      return;
    }
    forward(request, replyTo)
      .catch((thrown: unknown) => {
        const error = asTroupeError(thrown);
        // We close: the runner's answer, if it is still to come, is the only one.
        if (error.reason === 'client.closed') return;
        if (error.reason === 'internal.unexpected')
          log.error({ err: thrown }, 'a request failed at the door');
        answer(replyTo, error);
      })
      .finally(() => {
        if (submitter.openCount === 0) notifyEmpty();
      });
  }

  function answer(replyTo: string, error: TroupeError): void {
    try {
      answerIngress(link, replyTo, error);
    } catch (thrown) {
      // The connection closed meanwhile, or the reply subject is none: there is nobody to tell.
      log.debug({ err: thrown }, 'an error could not be sent to its caller');
    }
  }

  async function finish(boundMs: number): Promise<void> {
    await stopDoor?.();
    if (submitter.openCount === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      notifyEmpty = resolve;
      timer = setTimeout(resolve, boundMs);
    });
    clearTimeout(timer);
  }

  return {
    start() {
      stopDoor = serveIngress(link, receive);
    },
    get openCount() {
      return submitter.openCount;
    },
    drain(boundMs) {
      draining ??= finish(boundMs);
      return draining;
    },
    close: () => submitter.close(),
  };
}
