/** Trials of artifacts, one at a time: each may take all the cores and memory that one model may ask for. */
import { TroupeError } from '@troupe/shared';

/** Trials that may wait. */
const queueLimit = 16;

export class TrialQueue {
  private last: Promise<unknown> = Promise.resolve();
  private count = 0;

  /** Trials under way and waiting. */
  get size(): number {
    return this.count;
  }

  /** Runs after all before it. Rejects with `queue.full` where too many wait. */
  run<T>(trial: () => Promise<T>): Promise<T> {
    if (this.count > queueLimit) {
      return Promise.reject(
        new TroupeError('queue.full', `${queueLimit} models wait for their trial on this host already`, {
          retryAfterMs: 1_000,
        }),
      );
    }
    this.count += 1;
    const turn = this.last.then(trial).finally(() => {
      this.count -= 1;
    });
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
