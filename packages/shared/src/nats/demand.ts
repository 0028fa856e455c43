/**
 * Demand: a request for a version that is not loaded asks for it, beside waiting in its queue. A message without content
 * on `<ns>.demand.<model>.<version>`; it may be lost, so that whoever waits asks again. The leader listens.
 */
import { TroupeError } from '../errors/troupe-error.js';
import { streamManager } from './jetstream-manager.js';
import type { NatsLink } from './nats-link.js';

/** The same version is asked for no more often by one process. */
const askEveryMs = 1_000;
/** Versions whose last asking is remembered. */
const rememberedCount = 10_000;

/** The asking side of one process. */
export interface DemandSender {
  /** Asks for a version, unless it was asked for a moment ago. Never throws. */
  ask(model: string, version: number): void;
}

export function createDemandSender(link: NatsLink, now = () => performance.now()): DemandSender {
  const askedAt = new Map<string, number>();
  return {
    ask(model, version) {
      const subject = link.subjects.demand(model, version);
      const last = askedAt.get(subject);
      if (last !== undefined && now() - last < askEveryMs) return;
      if (!link.isConnected()) return; // the repeat after the reconnect asks
      askedAt.delete(subject);
      askedAt.set(subject, now());
      const [oldest] = askedAt.keys();
      if (askedAt.size > rememberedCount && oldest !== undefined) askedAt.delete(oldest);
      try {
        link.connection.publish(subject);
      } catch {
        // Closed meanwhile: nobody waits for the version here any more.
      }
    },
  };
}

/** Hears demand of all processes. Returns how to stop. */
export function watchDemand(link: NatsLink, listener: (model: string, version: number) => void): () => void {
  const subscription = link.connection.subscribe(link.subjects.demandAll, {
    callback: (error, msg) => {
      if (error !== null) return;
      const tokens = msg.subject.split('.');
      const version = Number(tokens.at(-1));
      const model = tokens.at(-2);
      // Anybody may publish there: what names no version is nothing.
      if (model !== undefined && Number.isSafeInteger(version) && version > 0) listener(model, version);
    },
  });
  return () => {
    if (!link.connection.isClosed()) subscription.unsubscribe();
  };
}

/** Models in whose streams something waits or is held. A page of many streams costs one request. */
export async function modelsWithQueuedWork(link: NatsLink): Promise<string[]> {
  const prefix = link.subjects.workStreamPrefix;
  const models: string[] = [];
  try {
    for await (const { config, state } of (await streamManager(link)).streams.list()) {
      if (config.name.startsWith(prefix) && state.messages > 0) models.push(config.name.slice(prefix.length));
    }
  } catch (error) {
    throw new TroupeError('nats.failed', `the streams could not be listed: ${String(error)}`, {
      cause: error,
    });
  }
  return models;
}
