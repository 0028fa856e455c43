/** Which leader this host listens to: the one of the highest epoch that it has seen. Fed by commands and the lease. */
import { TroupeError } from '@troupe/shared';

/** Closed until the lease has told the first epoch: a host that has just started cannot tell old leaders from new. */
export class EpochGate {
  private seen = 0;
  private open = false;

  /** Highest epoch seen, 0 before the first. */
  get highest(): number {
    return this.seen;
  }

  /** An epoch from a registration or renewal of the lease: opens the gate. */
  learn(epoch: number): void {
    this.open = true;
    this.seen = Math.max(this.seen, epoch);
  }

  /** Lets a command through. Throws `epoch.stale`, or `placement.no_host` before the first renewal. */
  admit(epoch: number): void {
    if (!this.open) {
      throw new TroupeError('placement.no_host', 'this host has not registered yet: it takes no commands');
    }
    if (epoch < this.seen) {
      throw new TroupeError(
        'epoch.stale',
        `the command has epoch ${epoch}, but a leader with epoch ${this.seen} was seen`,
      );
    }
    this.seen = epoch;
  }
}
