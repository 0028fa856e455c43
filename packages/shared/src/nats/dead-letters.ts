/**
 * Dead letters as an admin sees them: listed without their payloads, replayed, dropped. Called by the doors of the
 * coordinators; who condemns a message, and keeps it here, stands in `on-behalf.ts`.
 */
import { AckPolicy, DeliverPolicy, headers, type JetStreamManager, nanos, type StoredMsg } from 'nats';
import { defaults } from '../config/defaults.js';
import { asTroupeError, TroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import { defaultPriority } from '../names/subjects.js';
import { JetStreamCode, jetStreamCode } from './jetstream-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';
import { DeadHeader } from './on-behalf.js';
import { readHeader } from './wire-headers.js';

/** A message that was given up (wire format of the admin API). */
export interface DeadLetter {
  /** Names it for replay and drop. */
  readonly sequence: number;
  readonly model: string;
  readonly version: number;
  /** When it was given up: ISO 8601, the server's clock. */
  readonly at: string;
  /** Reason of the catalogue, as its caller was told. */
  readonly reason: string;
  readonly text: string;
  readonly requestId: string;
  readonly sizeBytes: number;
}

const timeoutMs = 5_000;
/** Put in by the server where a consumer asks for headers only. */
const sizeHeader = 'Nats-Msg-Size';
/** What a replay keeps of the original: not where its answer went, and not how little time it had left. */
const keptHeaders = [
  Header.RequestId,
  Header.InferenceLength,
  Header.Pinned,
  Header.Sticky,
  Header.TraceParent,
];

/** The newest `count` dead letters, of one model where it is named; oldest first. Rejects with `nats.failed`. */
export async function listDeadLetters(link: NatsLink, count: number, model?: string): Promise<DeadLetter[]> {
  try {
    const jsm = await streamManager(link);
    const { state } = await jsm.streams.info(link.subjects.deadStream);
    if (state.messages === 0) return [];
    // Dropped letters and those of other models leave gaps: looked back further until there are enough.
    for (let span = count; ; span *= 8) {
      const from = Math.max(state.first_seq, state.last_seq - span + 1);
      const letters = await readFrom(link, jsm, from, model);
      if (letters.length >= count || from <= state.first_seq) return letters.slice(-count);
    }
  } catch (error) {
    if (jetStreamCode(error) === JetStreamCode.StreamNotFound) return [];
    throw asTroupeError(error, 'nats.failed');
  }
}

async function readFrom(
  link: NatsLink,
  jsm: JetStreamManager,
  sequence: number,
  model: string | undefined,
): Promise<DeadLetter[]> {
  const { subjects } = link;
  const { name, num_pending: pending } = await jsm.consumers.add(subjects.deadStream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: sequence,
    filter_subject: model === undefined ? subjects.deadAll : subjects.deadOfModel(model),
    // A letter may have megabytes.
    headers_only: true,
    mem_storage: true,
    inactive_threshold: nanos(2 * timeoutMs),
  });
  const letters: DeadLetter[] = [];
  try {
    if (pending === 0) return letters;
    const consumer = await link.connection
      .jetstream({ timeout: timeoutMs })
      .consumers.get(subjects.deadStream, name);
    for await (const msg of await consumer.fetch({ max_messages: pending, expires: timeoutMs })) {
      const target = targetOf(msg.subject);
      if (target !== undefined) {
        letters.push({
          sequence: msg.seq,
          ...target,
          at: new Date(msg.info.timestampNanos / 1_000_000).toISOString(),
          reason: readHeader(msg.headers, DeadHeader.Reason) ?? '',
          text: readHeader(msg.headers, DeadHeader.Text) ?? '',
          requestId: readHeader(msg.headers, Header.RequestId) ?? '',
          sizeBytes: Number(readHeader(msg.headers, sizeHeader) ?? 0),
        });
      }
      if (msg.info.pending === 0) break;
    }
  } finally {
    // The server ends it by itself where this cannot.
    await jsm.consumers.delete(subjects.deadStream, name).catch(() => false);
  }
  return letters;
}

/** Of whom a letter is; `undefined` where somebody else published under the prefix. */
function targetOf(subject: string): { model: string; version: number } | undefined {
  const [model, version] = subject.split('.').slice(-2);
  return model !== undefined && /^[1-9]\d{0,14}$/.test(version ?? '')
    ? { model, version: Number(version) }
    : undefined;
}

/**
 * Sends a dead letter to its version once more and removes it. Nobody awaits the answer any more, so it names no
 * inbox: what comes of it shows in the events, and it comes back here where it is still poison. `assertServed` throws
 * where nobody would run it. Rejects with `admin.not_found`, `queue.full` or `nats.failed`; then it is still there.
 */
export async function replayDeadLetter(
  link: NatsLink,
  sequence: number,
  assertServed: (model: string, version: number) => void,
): Promise<{ readonly model: string; readonly version: number; readonly requestId: string }> {
  const stored = await readLetter(link, sequence);
  const target = targetOf(stored.subject);
  if (target === undefined) throw notFound(sequence);
  assertServed(target.model, target.version);
  const hdrs = headers();
  for (const name of keptHeaders) {
    const value = readHeader(stored.header, name);
    if (value !== undefined) hdrs.set(name, value);
  }
  hdrs.set(Header.BudgetMs, String(defaults.maxDeadlineMs));
  const subject = link.subjects.work(target.model, target.version, defaultPriority);
  try {
    await link.connection.jetstream({ timeout: timeoutMs }).publish(subject, stored.data, { headers: hdrs });
  } catch (error) {
    const code = jetStreamCode(error);
    if (code === JetStreamCode.StreamStoreFailed || code === JetStreamCode.InsufficientResources) {
      throw new TroupeError('queue.full', `the queue of model ${target.model} takes no more for now`, {
        cause: error,
        retryAfterMs: 1_000,
      });
    }
    throw asTroupeError(error, 'nats.failed');
  }
  // In this order: between the two it is in both places, never in none.
  await removeLetter(link, sequence);
  return { ...target, requestId: readHeader(stored.header, Header.RequestId) ?? '' };
}

/** Removes a dead letter for good. Rejects with `admin.not_found` or `nats.failed`. */
export async function dropDeadLetter(
  link: NatsLink,
  sequence: number,
): Promise<{ readonly model: string; readonly version: number; readonly requestId: string }> {
  const stored = await readLetter(link, sequence);
  const target = targetOf(stored.subject);
  if (target === undefined || !(await removeLetter(link, sequence))) throw notFound(sequence);
  return { ...target, requestId: readHeader(stored.header, Header.RequestId) ?? '' };
}

async function readLetter(link: NatsLink, sequence: number): Promise<StoredMsg> {
  const stored = await findLetter(link, sequence);
  if (stored === undefined) throw notFound(sequence);
  return stored;
}

async function findLetter(link: NatsLink, sequence: number): Promise<StoredMsg | undefined> {
  try {
    const jsm = await streamManager(link);
    return await jsm.streams.getMessage(link.subjects.deadStream, { seq: sequence });
  } catch (error) {
    const code = jetStreamCode(error);
    if (code === JetStreamCode.MessageNotFound || code === JetStreamCode.StreamNotFound) return undefined;
    throw asTroupeError(error, 'nats.failed');
  }
}

/** True where it was there; somebody else may have been quicker, which the server reports as a failure like others. */
async function removeLetter(link: NatsLink, sequence: number): Promise<boolean> {
  try {
    const jsm = await streamManager(link);
    return await jsm.streams.deleteMessage(link.subjects.deadStream, sequence);
  } catch (error) {
    if ((await findLetter(link, sequence)) === undefined) return false;
    throw asTroupeError(error, 'nats.failed');
  }
}

function notFound(sequence: number): TroupeError {
  return new TroupeError(
    'admin.not_found',
    `there is no dead letter ${sequence}: it was replayed or dropped before, or never there`,
  );
}
