/** Events as an async iterable: a bounded queue between the cluster's pace and the reader's. Ends with its client. */
import { EventKind, quoteName, TroupeError, type TroupeEvent } from '@troupe/shared';

/** Which events, and until when. */
export interface EventOptions {
  /** Default: all kinds. */
  readonly kinds?: readonly EventKind[];
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

/** Events that may wait for a slow reader; older ones are dropped beyond. */
const queueLimit = 1_000;

/**
 * Iterates over events from now on. `watch` starts to listen and returns how to stop. The iteration ends when the
 * reader leaves it, by its signal, or when `closing` aborts; each way stops listening.
 */
export function createEventFeed(
  watch: (listener: (event: TroupeEvent) => void) => () => void,
  closing: AbortSignal,
  options: EventOptions,
): AsyncIterableIterator<TroupeEvent, undefined> {
  const matches = matcherOf(options.kinds);
  const waiting: TroupeEvent[] = [];
  const readers: ((result: IteratorResult<TroupeEvent, undefined>) => void)[] = [];
  let ended = false;
  const unwatch = watch((event) => {
    if (!matches(event)) return;
    const reader = readers.shift();
    if (reader !== undefined) return reader({ done: false, value: event });
    waiting.push(event);
    if (waiting.length > queueLimit) waiting.shift();
  });
  const end = () => {
    if (ended) return;
    ended = true;
    unwatch();
    closing.removeEventListener('abort', end);
    options.signal?.removeEventListener('abort', end);
    for (const reader of readers.splice(0)) reader({ done: true, value: undefined });
  };
  if (closing.aborted || options.signal?.aborted === true) end();
  else {
    closing.addEventListener('abort', end, { once: true });
    options.signal?.addEventListener('abort', end, { once: true });
  }
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const value = waiting.shift();
      if (value !== undefined) return Promise.resolve({ done: false, value });
      if (ended) return Promise.resolve({ done: true, value: undefined });
      return new Promise((resolve) => readers.push(resolve));
    },
    return() {
      end();
      waiting.length = 0;
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

/** Says which events are meant. Throws `request.parameter` for a kind that does not exist. */
export function matcherOf(kinds: readonly EventKind[] | undefined): (event: TroupeEvent) => boolean {
  if (kinds === undefined) return () => true;
  const known: readonly string[] = Object.values(EventKind);
  for (const kind of kinds) {
    if (!known.includes(kind)) {
      throw new TroupeError(
        'request.parameter',
        `there are no events of the kind ${quoteName(kind)}: ${known.join(', ')}`,
      );
    }
  }
  return (event) => kinds.includes(event.kind);
}
