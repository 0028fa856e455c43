/**
 * The queues of versions that are not in memory: declared once somebody asks, so that requests wait in them while the
 * version loads, and looked into now and then, since a demand may be lost and a door may not have heard that a version
 * left. Used by the reconcile loop at every turn; decides nothing, it says who has work.
 */
import type { Log } from '@troupe/shared';
import {
  declareWorkConsumer,
  type LaneLimits,
  modelsWithQueuedWork,
  type NatsLink,
  queuedByVersion,
} from '@troupe/shared/nats';
import type { Placement } from './placement-plan.js';
import { type VersionRef, versionKey } from './worker-key.js';

export interface ColdQueues {
  update(placements: ReadonlyMap<string, Placement>): void;
  /** The broker may have forgotten what was declared. */
  forget(): void;
  /** Stops beginning things, and waits for those under way. */
  stop(): Promise<void>;
}

export interface ColdQueuesOptions {
  readonly link: NatsLink;
  readonly limits: LaneLimits;
  /** Requests wait for a version that is not in memory. */
  readonly onWork: (ref: VersionRef) => void;
  readonly now: () => number;
  readonly log: Log;
}

/** After a version left: doors that have not heard of it go on for a moment, and what they sent may have to wait. */
const looksAfterMs = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000] as const;
/** Between two looks at all streams. */
const sweepEveryMs = 10_000;

interface Left {
  readonly atMs: number;
  looks: number;
}

/** Creates the watch of one term as leader. */
export function createColdQueues({ link, limits, onWork, now, log }: ColdQueuesOptions): ColdQueues {
  const declared = new Set<string>();
  const loaded = new Set<string>();
  const left = new Map<string, Left>();
  const busy = new Map<string, Promise<void>>();
  let placements: ReadonlyMap<string, Placement> = new Map();
  let sweepDueMs = now();
  let stopped = false;

  function begin(key: string, task: () => Promise<void>): void {
    if (stopped || busy.has(key)) return;
    const run = task()
      .catch((error: unknown) =>
        log.debug({ err: error, key }, 'a queue could not be looked into; it is tried again'),
      )
      .finally(() => busy.delete(key));
    busy.set(key, run);
  }

  async function declare(key: string, { wanted }: Placement): Promise<void> {
    const { content, model, version } = wanted;
    const queueLimit = content.limits.queueLimit ?? limits.queueLimit;
    await declareWorkConsumer(link, model, version, { ...limits, queueLimit });
    declared.add(key);
  }

  const isCold = (key: string) => placements.get(key)?.leave !== undefined;

  async function look(model: string): Promise<void> {
    for (const [version, count] of await queuedByVersion(link, model)) {
      if (count > 0 && isCold(versionKey({ model, version }))) onWork({ model, version });
    }
  }

  async function sweep(): Promise<void> {
    for (const model of await modelsWithQueuedWork(link)) await look(model);
  }

  return {
    update(next) {
      placements = next;
      for (const [key, placement] of placements) {
        // In a rollout with a gap requests wait before anything of the new version is there.
        const waits = placement.standing === 'asked' || placement.wanted.role?.probation?.alone === true;
        if (waits && !declared.has(key)) begin(key, () => declare(key, placement));
        if (placement.leave === undefined) {
          loaded.add(key);
          left.delete(key);
        } else if (loaded.delete(key)) left.set(key, { atMs: now(), looks: 0 });
      }
      for (const [key, entry] of left) {
        const { model } = placements.get(key)?.wanted ?? {};
        const dueMs = looksAfterMs[entry.looks];
        if (model === undefined || dueMs === undefined) left.delete(key);
        else if (now() - entry.atMs >= dueMs) {
          entry.looks += 1;
          begin(`look ${key}`, () => look(model));
        }
      }
      if (now() < sweepDueMs || ![...placements.values()].some(({ leave }) => leave !== undefined)) return;
      sweepDueMs = now() + sweepEveryMs;
      begin('sweep', sweep);
    },
    forget() {
      declared.clear();
      sweepDueMs = now();
    },
    async stop() {
      stopped = true;
      await Promise.all(busy.values());
    },
  };
}
