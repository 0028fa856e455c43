/**
 * The worker of the contestant `jetstream`: takes messages from a work queue the way a runner of Troupe does (pulls that
 * it accounts for, answer to the inbox that a header names, answer and ack in one piece) and gives each payload back.
 */
import { AckPolicy, createInbox, type Msg, nanos, RetentionPolicy, StorageType } from 'nats';
import { createFramePublisher } from '../../../packages/shared/src/nats/frames.js';
import { headerText } from '../../../packages/shared/src/nats/library-reading.js';
import { serveCalls } from '../child.js';
import { connectBare } from './bare-connection.js';
import { bareLane } from './bare-names.js';

export interface BareJetStreamOrder {
  readonly url: string;
  readonly replicas: number;
}

/** Messages asked for and not yet here. More gave no more on two cores, fewer gave less. */
const pullWindow = 64;
const laneCount = 4;
const expiresMs = 30_000;

interface Lane {
  readonly inbox: string;
  remaining: number;
}

serveCalls(async ({ url, replicas }: BareJetStreamOrder) => {
  const connection = await connectBare(url);
  const { stream, subject, consumer, replyHeader } = bareLane;
  const manager = await connection.jetstreamManager();
  await manager.streams.add({
    name: stream,
    subjects: [subject],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.Memory,
    num_replicas: replicas,
    max_age: nanos(600_000),
  });
  await manager.consumers.add(stream, {
    durable_name: consumer,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(10_000),
    max_ack_pending: -1,
    max_waiting: 64,
  });
  const frames = createFramePublisher(connection);
  const root = createInbox();
  const lanes: Lane[] = Array.from({ length: laneCount }, (_, index) => ({
    inbox: `${root}.${index}`,
    remaining: 0,
  }));
  const pullSubject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  const replyPrefix = `\r\n${replyHeader}: `;
  let scheduled = false;

  function pull(): void {
    scheduled = false;
    let asked = 0;
    for (const { remaining } of lanes) asked += remaining;
    const want = pullWindow - asked;
    const lane = lanes.find(({ remaining }) => remaining === 0);
    if (lane === undefined || (asked > 0 && want < pullWindow >> 2)) return;
    lane.remaining = want;
    const payload = Buffer.from(`{"batch":${want},"expires":${expiresMs}000000}`);
    frames.publish({ subject: pullSubject, reply: lane.inbox, headers: '', payload });
  }
  function pullSoon(): void {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(pull);
  }
  function receive(lane: Lane, message: Msg): void {
    const headers = headerText(message) ?? '';
    const at = headers.indexOf(replyPrefix);
    if (at < 0) {
      lane.remaining = 0; // expired
    } else {
      lane.remaining -= 1;
      const from = at + replyPrefix.length;
      const replyTo = headers.slice(from, headers.indexOf('\r\n', from));
      frames.publish({ subject: replyTo, reply: '', headers: '', payload: message.data }, message.reply);
    }
    pullSoon();
  }
  for (const lane of lanes) {
    connection.subscribe(lane.inbox, {
      callback: (error, message) => {
        if (error === null) receive(lane, message);
      },
    });
  }
  pull();
  await connection.flush();
});
