import type { WireMessage } from '@troupe/shared';
import type { WorkMessage } from '@troupe/shared/nats';
import { expect } from 'chai';
import { type HeldRequest, HeldRequests } from '../../src/runner/held-requests.js';
import type { Lane } from '../../src/runner/lane.js';

const wire: WireMessage = { payload: new Uint8Array(1), jsonLength: undefined };

class Bench {
  readonly sent: string[] = [];
  /** What went into the book, and when it was written. */
  readonly book: string[] = [];
  readonly held = new HeldRequests({
    take: ({ streamSequence }) => this.book.push(`take ${streamSequence}`),
    renew: (streamSequence) => this.book.push(`renew ${streamSequence}`),
    release: (streamSequence) => this.book.push(`release ${streamSequence}`),
    flush: () => this.book.push('flush'),
  });
  readonly lane = {
    answer: (message: WorkMessage) => this.sent.push(`answer ${nameOf(message)}`),
    ack: (message: WorkMessage) => this.sent.push(`ack ${nameOf(message)}`),
    handBack: (message: WorkMessage) => this.sent.push(`nak ${nameOf(message)}`),
    inProgress: (message: WorkMessage) => this.sent.push(`wpi ${nameOf(message)}`) > 0,
  } as unknown as Lane;

  take(message: WorkMessage): HeldRequest | undefined {
    return this.held.take(this.lane, message);
  }
}

const nameOf = ({ ref }: WorkMessage) => `${ref.streamSequence}/${ref.delivery}`;

function messageOf(streamSequence: number, changes: Partial<WorkMessage> = {}, delivery = 1): WorkMessage {
  return {
    payload: Uint8Array.of(1, 2),
    jsonLength: undefined,
    replyTo: `inbox.${streamSequence}`,
    doneTo: undefined,
    requestId: `r${streamSequence}`,
    budgetMs: 1_000,
    pinned: false,
    traceparent: undefined,
    ref: { stream: 's', consumer: 'v1', delivery, streamSequence, consumerSequence: streamSequence },
    arrivedAtMs: 0,
    queuedMs: 0,
    ...changes,
  };
}

describe('held requests', () => {
  it('records a message before and after, each once', () => {
    const bench = new Bench();
    const held = bench.take(messageOf(1));
    bench.held.record();
    if (held !== undefined) bench.held.answer(held, wire);
    bench.held.record();
    bench.held.record();
    expect(bench.book).to.deep.equal(['take 1', 'flush', 'release 1', 'flush']);
    expect(bench.held.size).to.equal(0);
  });

  it('answers, drops or hands back a request once, whatever is asked afterwards (H3)', () => {
    const bench = new Bench();
    const held = bench.take(messageOf(1)) as HeldRequest;
    bench.held.answer(held, wire);
    bench.held.answer(held, wire);
    bench.held.drop(held);
    expect(bench.held.handBack(held)).to.equal(0);
    expect(bench.sent).to.deep.equal(['answer 1/1']);
  });

  it('joins a repeat by the same client to the request that is held: one run, one answer, both acked (H2)', () => {
    const bench = new Bench();
    const same = { replyTo: 'inbox.x', requestId: 'x', repeated: true };
    const held = bench.take(messageOf(1, same)) as HeldRequest;
    expect(bench.take(messageOf(2, same))).to.equal(undefined);
    expect(bench.held.size).to.equal(2);
    bench.held.answer(held, wire);
    expect(bench.sent).to.deep.equal(['answer 1/1', 'ack 2/1']);
    expect(bench.held.size).to.equal(0);
    expect(bench.take(messageOf(3, same))).to.not.equal(undefined);
  });

  it('does not join requests that merely share an id, or an inbox, or differ in what they say', () => {
    const bench = new Bench();
    const same = { replyTo: 'inbox.x', requestId: 'x', repeated: true };
    bench.take(messageOf(1, same));
    expect(bench.take(messageOf(2, { ...same, replyTo: 'inbox.y' }))).to.not.equal(undefined);
    expect(bench.take(messageOf(3, { ...same, requestId: 'y' }))).to.not.equal(undefined);
    expect(bench.take(messageOf(4, { ...same, payload: Uint8Array.of(9) }))).to.not.equal(undefined);
    expect(bench.take(messageOf(5, { ...same, replyTo: undefined }))).to.not.equal(undefined);
    expect(bench.take(messageOf(6, { ...same, replyTo: undefined }))).to.not.equal(undefined);
  });

  it('finds the repeat of a request whose id another client uses too, and whose request is answered (H2)', () => {
    const bench = new Bench();
    const first = bench.take(messageOf(1, { requestId: 'x' })) as HeldRequest;
    const second = bench.take(messageOf(2, { requestId: 'x' })) as HeldRequest;
    bench.held.answer(first, wire);
    expect(bench.take(messageOf(3, { requestId: 'x', replyTo: 'inbox.2', repeated: true }))).to.equal(
      undefined,
    );
    bench.held.answer(second, wire);
    expect(bench.sent).to.deep.equal(['answer 1/1', 'answer 2/1', 'ack 3/1']);
    expect(bench.take(messageOf(4, { requestId: 'x', replyTo: 'inbox.2', repeated: true }))).to.not.equal(
      undefined,
    );
  });

  it('acks under the latest delivery a message that lapsed and came again while it was held (H2)', () => {
    const bench = new Bench();
    const held = bench.take(messageOf(1)) as HeldRequest;
    expect(bench.take(messageOf(1, {}, 2))).to.equal(undefined);
    expect(bench.held.size).to.equal(1);
    bench.held.answer(held, wire);
    expect(bench.sent).to.deep.equal(['answer 1/2']);
  });

  it('records a message as held that was handed back and taken again in the same turn', () => {
    const bench = new Bench();
    const held = bench.take(messageOf(1)) as HeldRequest;
    bench.held.handBack(held);
    bench.take(messageOf(1, {}, 2));
    bench.held.record();
    expect(bench.book).to.deep.equal(['take 1', 'release 1', 'take 1', 'flush']);
  });

  it('renews what has been held for a while, and records it', () => {
    const bench = new Bench();
    bench.take(messageOf(1, { arrivedAtMs: 100 }));
    bench.take(messageOf(2, { arrivedAtMs: 300 }));
    bench.held.renew(200);
    bench.held.record();
    expect(bench.sent).to.deep.equal(['wpi 1/1']);
    expect(bench.book).to.deep.equal(['take 1', 'take 2', 'renew 1', 'flush']);
  });
});
