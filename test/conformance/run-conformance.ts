/**
 * Replays a folder of cases through a running cluster: every positive case in a sliding window of models, then what
 * must be refused, then what is dangerous. Called by the command and by the suite's smoke test.
 */
import type { TestCluster } from '../harness/cluster.js';
import type { CaseFolder } from './case-folder.js';
import { createDoors } from './doors.js';
import { replayCase } from './replay-case.js';
import { replayHazard } from './replay-hazards.js';
import { replayNegative } from './replay-negatives.js';
import { startResident } from './resident.js';
import { createTally, type Tally } from './tally.js';

export interface ConformanceOptions {
  /** Models that are registered at the same time. */
  readonly wave: number;
  /** Requests with each set that are in flight together; default 16. */
  readonly copies?: number;
  readonly signal?: AbortSignal;
  /** Told after each model, with what is done so far. */
  readonly onProgress?: (text: string) => void;
}

/** Trials and loads at a time: each keeps a core busy. */
const loadsAtOnce = 3;

/** Environment for the processes of a cluster that is to be replayed through. */
export const conformanceEnvironment: Readonly<Record<string, string>> = {
  // Models come and go by the hundred; their runners need not linger.
  TROUPE_ROUTE_GRACE_MS: '500',
};

/** Slots for a window of models, with room for those that still drain and for the resident. */
export function slotsFor(wave: number): number {
  return 2 * wave + 8;
}

/** Replays; everything that is wrong stands in the tally. Rejects only where the cluster itself cannot be used. */
export async function runConformance(
  cluster: TestCluster,
  folder: CaseFolder,
  { wave, copies = 16, signal, onProgress = () => undefined }: ConformanceOptions,
): Promise<Tally> {
  const tally = createTally();
  const client = await cluster.connect();
  const bare = await cluster.connectBare();
  const doors = createDoors(client, bare, cluster.namespace);
  const whileLoading = createGate(loadsAtOnce);

  let done = 0;
  const faultsTold = { count: 0 };
  const tell = (kind: string, all: number) => {
    onProgress(`${kind}: ${done} of ${all}`);
    for (; faultsTold.count < tally.faults.length; faultsTold.count += 1) {
      onProgress(`FAULT ${tally.faults[faultsTold.count]}`);
    }
  };
  const each = async <T>(
    kind: string,
    list: readonly T[],
    lanes: number,
    replay: (item: T) => Promise<void>,
  ) => {
    done = 0;
    const waiting = [...list];
    const lane = async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
        signal?.throwIfAborted();
        await replay(item);
        done += 1;
        tell(kind, list.length);
      }
    };
    await Promise.all(Array.from({ length: Math.min(lanes, list.length) }, lane));
  };

  await each('models', folder.cases, wave, (positive) =>
    replayCase({ folder, client, doors, tally, whileLoading, copies }, positive),
  );
  if (folder.negative.length > 0 || folder.hazards.length > 0) {
    const resident = await startResident(cluster, client);
    // One after the other: whose fault a dead process is must be plain.
    await each('models that must not serve', folder.negative, 1, (negative) =>
      replayNegative({ folder, cluster, client, doors, resident, tally }, negative),
    );
    await each('hazards', folder.hazards, 1, (hazard) =>
      replayHazard({ folder, client, doors, resident, tally }, hazard),
    );
    await client.deleteModel('resident');
  }
  await client.close();
  bare.close();
  return tally;
}

/** Lets at most `limit` pieces of work run at a time. */
function createGate(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
