/**
 * Repeats of a request by another version: a runner whose version is on probation publishes what failed in its hands to
 * the version that stands by, which answers the caller in its place.
 */
import { headers } from 'nats';
import { TroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import { defaultPriority } from '../names/subjects.js';
import type { NatsLink } from './nats-link.js';
import type { WorkMessage } from './work-deliveries.js';

/** Whose request is repeated, and by whom. */
export interface Repeat {
  readonly model: string;
  /** The version that the caller's request was routed to. */
  readonly askedVersion: number;
  /** The version that shall answer it. */
  readonly byVersion: number;
  /** It did not fail by itself: it was in the hands of a runner that died. */
  readonly suspect: boolean;
  /** What is left of its deadline, in milliseconds. */
  readonly budgetMs: number;
}

const pubAckLimitMs = 1_000;

/** Resolves once the stream has taken the repeat. Rejects with `nats.failed`: then nobody will answer it. */
export async function publishRepeat(link: NatsLink, repeat: Repeat, message: WorkMessage): Promise<void> {
  const hdrs = headers();
  if (message.replyTo !== undefined) hdrs.set(Header.Reply, message.replyTo);
  if (message.doneTo !== undefined) hdrs.set(Header.Done, message.doneTo);
  hdrs.set(Header.RequestId, message.requestId);
  hdrs.set(Header.BudgetMs, String(Math.floor(repeat.budgetMs)));
  hdrs.set(Header.AskedVersion, String(repeat.askedVersion));
  if (repeat.suspect) hdrs.set(Header.Suspect, '1');
  if (message.jsonLength !== undefined) hdrs.set(Header.InferenceLength, String(message.jsonLength));
  if (message.traceparent !== undefined) hdrs.set(Header.TraceParent, message.traceparent);
  const subject = link.subjects.work(repeat.model, repeat.byVersion, defaultPriority);
  let problem: string;
  try {
    const ack = await link.connection.request(subject, message.payload, {
      headers: hdrs,
      timeout: Math.min(pubAckLimitMs, repeat.budgetMs),
    });
    const { error, seq } = JSON.parse(new TextDecoder().decode(ack.data)) as {
      error?: { description?: string };
      seq?: number;
    };
    if (error === undefined && seq !== undefined) return;
    problem = error?.description ?? 'the answer is no PubAck';
  } catch (thrown) {
    problem = thrown instanceof Error ? thrown.message : String(thrown);
  }
  throw new TroupeError('nats.failed', `the request could not be repeated on ${subject}: ${problem}`);
}
