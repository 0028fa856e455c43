/**
 * The stream messages that one runner holds, as it reported them: what its host hands back when the runner dies.
 * Pure book-keeping; the runner process feeds it, nothing else reads it.
 */
import type { HeldMessage, HoldingsReport } from '../ipc/runner-messages.js';

interface Entry {
  readonly message: HeldMessage;
  /** When the delivery or its last in-progress ack was heard of, on the host's monotonic clock. */
  renewedAtMs: number;
  /** Server whose stream sequences these are: after a restart of memory streams they may mean other messages. */
  readonly serverId: string | undefined;
}

const keyOf = (ref: { readonly stream: string; readonly streamSequence: number }) =>
  `${ref.stream}:${ref.streamSequence}`;

/** Holdings of one runner. */
export class HeldMessages {
  private readonly entries = new Map<string, Entry>();

  get size(): number {
    return this.entries.size;
  }

  /** Takes in one report. A message that is taken again under a higher delivery replaces the earlier one. */
  report(report: HoldingsReport, nowMs: number, serverId: string | undefined): void {
    for (const message of report.taken) {
      this.entries.set(keyOf(message), { message, renewedAtMs: nowMs, serverId });
    }
    for (const ref of report.renewed) {
      const entry = this.entries.get(keyOf(ref));
      if (entry !== undefined) entry.renewedAtMs = nowMs;
    }
    for (const ref of report.released) this.entries.delete(keyOf(ref));
  }

  holds(ref: { readonly stream: string; readonly streamSequence: number }): boolean {
    return this.entries.has(keyOf(ref));
  }

  forget(ref: { readonly stream: string; readonly streamSequence: number }): void {
    this.entries.delete(keyOf(ref));
  }

  /**
   * Empties the table and returns what may be handed back: deliveries that are certainly still this runner's.
   * One whose ack wait may have lapsed is somebody else's by now, and a NAK would hit that delivery.
   */
  takeBack(nowMs: number, ackWaitMs: number, serverId: string | undefined): HeldMessage[] {
    // Reports arrive later than what they report, by a turn of two event loops.
    const youngerThanMs = ackWaitMs - Math.min(250, ackWaitMs / 4);
    const fresh = [...this.entries.values()].filter(
      (entry) => entry.serverId === serverId && nowMs - entry.renewedAtMs < youngerThanMs,
    );
    this.entries.clear();
    return fresh.map((entry) => entry.message);
  }
}
