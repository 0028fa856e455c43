/** What a runner held as it died, and which of it its host may hand back. Pure. */
import type { BookedMessage } from '../ipc/holdings-book.js';
import type { HeldMessage } from '../ipc/runner-messages.js';

type StreamRef = Pick<HeldMessage, 'stream' | 'streamSequence'>;

export function isHeld(booked: readonly BookedMessage[], ref: StreamRef): boolean {
  return booked.some(({ message }) => isSame(message, ref));
}

/**
 * Deliveries that are certainly still the runner's. One whose ack wait may have lapsed is somebody else's by now, and a
 * NAK would hit that delivery; after a restart of memory streams (`serverSinceMs`) sequences may mean other messages.
 * Times on the machine's clock, in milliseconds.
 */
export function mayHandBack(
  booked: readonly BookedMessage[],
  now: { readonly ms: number; readonly ackWaitMs: number; readonly serverSinceMs: number | undefined },
  except: StreamRef | undefined,
): HeldMessage[] {
  const { ackWaitMs, ms, serverSinceMs } = now;
  if (serverSinceMs === undefined) return [];
  // A message is heard of later than it is sent.
  const youngerThanMs = ackWaitMs - Math.min(250, ackWaitMs / 4);
  return booked
    .filter(({ heardAtMs }) => heardAtMs >= serverSinceMs && ms - heardAtMs < youngerThanMs)
    .map(({ message }) => message)
    .filter((message) => except === undefined || !isSame(message, except))
    .toSorted((left, right) => left.streamSequence - right.streamSequence);
}

function isSame(left: StreamRef, right: StreamRef): boolean {
  return left.streamSequence === right.streamSequence && left.stream === right.stream;
}
