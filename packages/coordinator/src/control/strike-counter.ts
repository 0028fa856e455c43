/**
 * Counts strikes against requests: each one ended its runner while it ran alone. At three it is poison: the leader
 * takes it out of its queue, keeps it among the dead letters, and answers its caller. Hosts send the strikes as
 * events; all coordinators hear them, the leader alone counts.
 */
import { defaults, EventKind, type Log, type RegistryStore, type TroupeEvent } from '@troupe/shared';
import { condemnWorkMessage, type NatsLink, publishEvent, watchEvents } from '@troupe/shared/nats';

/** A strike: in the event's data `model`, `version` and `sequence` (wire format). */
export interface Strike {
  readonly model: string;
  readonly version: number;
  readonly streamSequence: number;
}

export interface StrikeCounterOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly owner: string;
  readonly isLeader: () => boolean;
  readonly log: Log;
}

/** The strike in an event; `undefined` where it holds none. */
export function parseStrike(event: TroupeEvent): Strike | undefined {
  const { model, version, sequence } = event.data;
  if (event.kind !== EventKind.RequestStrike || typeof model !== 'string') return undefined;
  if (!Number.isSafeInteger(version) || !Number.isSafeInteger(sequence)) return undefined;
  return { model, version: version as number, streamSequence: sequence as number };
}

/** Starts to count. Returns how to stop; that waits for what is under way. */
export function startStrikeCounter(options: StrikeCounterOptions): () => Promise<void> {
  const { link, registry, log } = options;
  const open = new Set<Promise<void>>();

  async function count(strike: Strike): Promise<void> {
    // A server with memory streams counts from 1 again after a restart: another server, another message.
    const stream = `${link.subjects.workStream(strike.model)}@${link.serverId() ?? ''}`;
    const strikes = await registry.addStrike(stream, strike.streamSequence);
    log.warn({ ...strike, strikes }, 'a request ended its runner while running alone');
    if (strikes < defaults.poisonStrikes) return;
    const text = `the request ended ${strikes} runners of model ${strike.model} version ${strike.version}, alone each time: it is not tried again`;
    const condemned = await condemnWorkMessage(link, strike, 'request.poison', text);
    await registry.clearStrikes(stream, strike.streamSequence);
    if (!condemned) return;
    publishEvent(link, {
      kind: EventKind.RequestDead,
      source: `coordinator/${options.owner}`,
      text,
      data: { ...strike, reason: 'request.poison' },
    });
  }

  const stopWatching = watchEvents(link, [EventKind.RequestStrike], (event) => {
    const strike = parseStrike(event);
    if (strike === undefined || !options.isLeader()) return;
    // A strike that is not counted costs one more runner; the next one is counted.
    const run = count(strike)
      .catch((error: unknown) => log.error({ err: error, ...strike }, 'a strike could not be counted'))
      .finally(() => open.delete(run));
    open.add(run);
  });
  return async () => {
    stopWatching();
    await Promise.all(open);
  };
}
