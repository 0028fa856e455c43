/**
 * Events of a host, sent after the lease shows what they tell of: the leader that hears one reads the leases, and
 * must not find the state of before. A lease store that is gone holds nothing up for longer than one try.
 */
import type { TroupeEvent } from '@troupe/shared';

export type OutgoingEvent = Omit<TroupeEvent, 'at'>;

/**
 * Between the first event and the renewal of the lease, in milliseconds: what happens at once is told at once, and what
 * everybody does upon it does not compete with a flip for the processor.
 */
const gatherMs = 10;

export class EventOutbox {
  private queue: OutgoingEvent[] = [];
  private flushing: Promise<void> = Promise.resolve();
  private readonly settle: () => Promise<void>;
  private readonly publish: (event: OutgoingEvent) => void;

  /** `settle` resolves when the lease was renewed, or could not be. */
  constructor(settle: () => Promise<void>, publish: (event: OutgoingEvent) => void) {
    this.settle = settle;
    this.publish = publish;
  }

  add(event: OutgoingEvent): void {
    this.queue.push(event);
    if (this.queue.length === 1) this.flushing = this.flushing.then(() => this.flush());
  }

  /** Resolves when everything that was added has been published. */
  async drained(): Promise<void> {
    let last: Promise<void>;
    do {
      last = this.flushing;
      await last;
    } while (last !== this.flushing);
  }

  /** What is added while the lease is renewed is not in it yet, and waits for the next time. */
  private async flush(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    const events = this.queue;
    this.queue = [];
    await this.settle();
    for (const event of events) this.publish(event);
  }
}
