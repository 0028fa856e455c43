/** Where a puller gets its messages from: a consumer of a stream, or what stands for one. */
import type { NatsLink } from './nats-link.js';
import { declareWorkConsumer, type LaneLimits } from './work-lane.js';

export interface WorkSource {
  readonly stream: string;
  readonly consumer: string;
  /** Takes pull requests (wire format). */
  readonly pullSubject: string;
  /** What the reply of each message begins with; numbers as in an ack subject follow. */
  readonly ackPrefix: string;
  /** Makes sure that it is there. */
  declare(): Promise<void>;
}

/** The queue of a version. */
export function workQueueSource(
  link: NatsLink,
  model: string,
  version: number,
  limits: LaneLimits,
): WorkSource {
  const stream = link.subjects.workStream(model);
  const consumer = link.subjects.workConsumer(version);
  return {
    stream,
    consumer,
    pullSubject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    ackPrefix: `$JS.ACK.${stream}.${consumer}.`,
    declare: () => declareWorkConsumer(link, model, version, limits),
  };
}
