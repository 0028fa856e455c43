/**
 * Has hosts fetch the files of prefetched models beforehand, one at a time for each host, so that loading one on demand
 * waits for no download. Used by the reconcile loop at every turn. It places nothing; a host that cannot fetch now is
 * asked again later.
 */
import type { HostLease, Log, RegistrySnapshot } from '@troupe/shared';
import { decodeError, Residency } from '@troupe/shared';
import { type NatsLink, sendHostCommand } from '@troupe/shared/nats';
import { wantedVersions } from './placement-plan.js';

export interface Prefetcher {
  /** Begins what is missing, in the background. */
  update(registry: RegistrySnapshot, hosts: readonly HostLease[]): void;
  /** Begins nothing more, and waits for what is under way. */
  stop(): Promise<void>;
}

export interface PrefetcherOptions {
  readonly link: NatsLink;
  /** The epoch at this moment, `undefined` once we lead no more: then nothing is sent. */
  readonly epoch: () => number | undefined;
  readonly now: () => number;
  readonly log: Log;
}

/** One file; a host that says nothing for so long is asked again. */
const fetchLimitMs = 60_000;
const retryMs = 10_000;
/** A host gives up files that it has not used for a day: until then it is told again that this one is wanted. */
const repeatMs = 6 * 3_600_000;

/** Creates the prefetcher of one term as leader. */
export function createPrefetcher({ epoch, link, log, now }: PrefetcherOptions): Prefetcher {
  /** When a host is to be told of a file next, by host process and digest. */
  const dueMs = new Map<string, number>();
  const busy = new Map<string, Promise<void>>();
  let stopped = false;

  async function fetchAll({ host, token }: HostLease, files: ReadonlyMap<string, number>): Promise<void> {
    for (const [digest, sizeBytes] of files) {
      const current = epoch();
      if (stopped || current === undefined) return;
      const key = `${host} ${token} ${digest}`;
      if ((dueMs.get(key) ?? 0) > now()) continue;
      dueMs.set(key, now() + retryMs);
      try {
        const command = { kind: 'prefetch', digest, sizeBytes } as const;
        const reply = await sendHostCommand(link, host, { epoch: current, command }, fetchLimitMs);
        if (!reply.ok) throw decodeError(reply.error);
        dueMs.set(key, now() + repeatMs);
      } catch (error) {
        log.debug({ err: error, host, digest }, 'a file was not fetched beforehand; it is tried again');
        return;
      }
    }
  }

  return {
    update(registry, hosts) {
      const files = new Map<string, number>();
      for (const { model, content } of wantedVersions(registry).values()) {
        if (registry.models[model]?.residency === Residency.Prefetched)
          files.set(content.digest, content.sizeBytes);
      }
      if (files.size === 0 || stopped) return;
      for (const lease of hosts) {
        if (lease.report.stopping || busy.has(lease.host)) continue;
        busy.set(
          lease.host,
          fetchAll(lease, files).finally(() => busy.delete(lease.host)),
        );
      }
    },
    async stop() {
      stopped = true;
      await Promise.all(busy.values());
    },
  };
}
