/** What the drills on rollouts share: the cluster with its one host, the load on it, and how they wait. */
import type { TroupeClient } from '@troupe/client';
import { isActiveRollout, type RolloutRecord } from '@troupe/shared';
import type { ClusterHost, TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import type { SteadyLoad } from './steady-load.js';

/** The name under which all versions of a drill are registered. */
export const swapModel = 'drill';

/** What surrounds every swap of a drill. */
export interface SwapGround {
  readonly client: TroupeClient;
  readonly cluster: TestCluster;
  readonly host: ClusterHost;
  readonly load: SteadyLoad;
  readonly signal: AbortSignal;
}

/**
 * Asks at half of what the cluster can do now, and gives that rate: a machine may have half of its speed a minute later, and
 * a load above what it can do would tell of nothing else.
 */
export async function paceAtHalf(load: SteadyLoad, measureMs: number, limit: number): Promise<number> {
  await load.pace(0);
  const rate = Math.min(Math.floor((await load.measureCapacity(64, measureMs)) / 2), limit);
  await load.pace(rate);
  return rate;
}

/** What the drill asks meanwhile is answered on the same cores as the load. */
const lookEveryMs = 100;

/** The rollout of the drill's model, once it has ended. */
export async function rolloutEnded(client: TroupeClient, signal: AbortSignal): Promise<RolloutRecord> {
  return waitUntil(
    'the rollout has ended',
    async () => {
      signal.throwIfAborted();
      const { rollout } = await client.rollout(swapModel);
      return rollout !== undefined && !isActiveRollout(rollout) ? rollout : undefined;
    },
    { timeoutMs: 60_000, everyMs: lookEveryMs },
  );
}

/** Resolves when the stable version's worker is the only one. */
export async function onlyWorkerLeft(client: TroupeClient, signal: AbortSignal): Promise<void> {
  await waitUntil(
    'one worker is left',
    async () => {
      signal.throwIfAborted();
      const workers = (await client.workers()).filter(({ model }) => model === swapModel);
      return workers.length === 1 && workers[0]?.state === 'serving';
    },
    { timeoutMs: 60_000, everyMs: lookEveryMs },
  );
}
