/**
 * Two shortcuts through the client library's insides, where messages go out: sending frames that were built whole, which
 * it would join from four pieces each, and one write for all that is published in a turn. Each looks for what it needs,
 * and where that is not there the library's own way is gone.
 */
import type { NatsConnection } from 'nats';

interface ConnectionInsides {
  readonly protocol?: {
    readonly connected?: boolean;
    readonly transport?: { send?(bytes: Uint8Array): void };
    sendCommand?(frame: Uint8Array): void;
  };
}

/** How frames are sent that were built outside of the library. */
export interface FrameSender {
  /** Joins what is published in the same turn, in order. */
  send(frame: Uint8Array): void;
  /** A large frame by its pieces, at once and behind what was published before: joining them would copy them. */
  sendPieces(pieces: readonly Uint8Array[]): void;
}

/** How to send whole frames on a connection; `undefined` where the library does not have what it takes. */
export function frameSender(connection: NatsConnection): FrameSender | undefined {
  const { protocol } = connection as unknown as ConnectionInsides;
  const flush = flushOf(protocol);
  if (typeof protocol?.sendCommand !== 'function' || flush === undefined) return undefined;
  return {
    send: (frame) => protocol.sendCommand?.(frame),
    sendPieces(pieces) {
      flush();
      const { transport } = protocol;
      if (protocol.connected === true && typeof transport?.send === 'function') {
        for (const piece of pieces) transport.send(piece);
      } else for (const piece of pieces) protocol.sendCommand?.(piece);
    },
  };
}

/** The library's own flush, whatever `gatherFlushes` has put before it. */
function flushOf(protocol: object | undefined): (() => void) | undefined {
  const prototype: { flushPending?: unknown } | null =
    protocol === undefined ? null : Object.getPrototypeOf(protocol);
  const flush = prototype?.flushPending;
  return typeof flush === 'function' ? () => flush.call(protocol) : undefined;
}

interface FlushInsides {
  readonly protocol?: { flushPending?: () => void };
}

/**
 * Lets what is published in one turn of the loop leave in one write. The library writes after the first microtask, so
 * that answers which are awaited in several steps, each followed by a request, leave one by one: a system call each,
 * here and at the server. The order of what is sent stays as it is.
 */
export function gatherFlushes(connection: NatsConnection): void {
  const { protocol } = connection as unknown as FlushInsides;
  const flush = protocol?.flushPending;
  if (protocol === undefined || typeof flush !== 'function') return;
  let scheduled = false;
  protocol.flushPending = () => {
    if (scheduled) return;
    scheduled = true;
    // Asked for in a microtask, a tick comes when all microtasks have run.
    process.nextTick(() => {
      scheduled = false;
      flush.call(protocol);
    });
  };
}
