/** What the Troupe contestants have in common: the cluster, and a load generator that asks it. */
import { startChild } from '../child.js';
import type { LoadResult } from '../closed-loop.js';
import type { Address, LoadCall } from '../load-generator.js';
import type { RunningContestant, Stage } from './contestant.js';
import type { ServedModel } from './troupe-cluster.js';

export async function startTroupe(
  kind: 'sdk' | 'nats' | 'nats-json',
  stage: Stage,
  settings: Omit<ServedModel, 'model' | 'name'> & { readonly suffix?: string } = {},
): Promise<RunningContestant> {
  const { suffix = '', ...batching } = settings;
  const cluster = await stage.cluster();
  const load = await startChild<LoadCall, LoadResult>('./load-generator.ts');
  const address: Address = { kind, natsUrl: cluster.natsUrl, namespace: cluster.namespace };
  return {
    async measure(model, order) {
      const servedAs = await cluster.serve({ model, name: `${model.name}${suffix}`, ...batching });
      return load.call({ ...order, model, servedAs, address });
    },
    stop: () => load.stop(),
  };
}
