/** How much of the broker's own speed Troupe leaves, with a model that gives back what it gets, and what copies cost. */
import { startNatsCluster } from '../../harness/nats-cluster.js';
import { startNats } from '../../harness/nats-server.js';
import { bareJetStream, bareNats } from '../contestants/bare.js';
import type { Contestant } from '../contestants/contestant.js';
import { startTroupe } from '../contestants/troupe.js';
import { startBenchCluster } from '../contestants/troupe-cluster.js';
import { troupeSdk } from '../contestants/troupe-sdk.js';
import { type Comparison, compareAll, medianTable, ratioTable, throughputChart } from '../outcome.js';
import { measureModels } from './measure-models.js';
import type { Suite } from './suite.js';
import { identitySource } from './wire.js';

/** Troupe on three servers, which keep three copies of what they take. */
const troupeThree: Contestant = {
  name: 'troupe-sdk-3',
  why: 'As troupe-sdk, on three NATS servers, where Troupe keeps three copies by itself.',
  async start(stage) {
    const servers = stage.own(await startNatsCluster());
    const cluster = stage.own(await startBenchCluster(stage.intraOpThreads, servers.entry));
    return startTroupe('sdk', { ...stage, cluster: async () => cluster });
  },
};

export const broker: Suite = {
  name: 'broker',
  text: 'bare NATS, bare JetStream with one and three copies, Troupe with an identity model',
  seconds: 100,
  async run(context) {
    const contestants = [
      bareNats(() => startNats()),
      bareJetStream('jetstream', 1, () => startNats()),
      troupeSdk,
      ...(context.short ? [] : [bareJetStream('jetstream-3', 3, () => startNatsCluster()), troupeThree]),
    ];
    const samples = await measureModels(context, {
      models: [identitySource('identity', 16)],
      contestantsOf: () => contestants,
      inFlight: context.short ? [64] : [64, 1],
      rounds: 5,
      windowMs: 1_500,
    });
    const pairs: readonly Pick<Comparison, 'contestant' | 'against' | 'target'>[] = [
      { contestant: 'troupe-sdk', against: 'jetstream', target: { kind: 'ratio', atLeast: 0.6 } },
      { contestant: 'troupe-sdk', against: 'nats' },
      { contestant: 'jetstream', against: 'nats' },
      { contestant: 'jetstream-3', against: 'jetstream' },
      { contestant: 'troupe-sdk-3', against: 'troupe-sdk' },
      { contestant: 'troupe-sdk-3', against: 'jetstream-3' },
    ];
    const rows = compareAll(
      samples,
      pairs.flatMap(({ target, ...pair }): Comparison[] => [
        { suite: 'broker', model: 'identity', ...pair, inFlight: 64, metric: 'throughput', target },
        { suite: 'broker', model: 'identity', ...pair, inFlight: 1, metric: 'p50' },
      ]),
    );
    return {
      rows,
      samples,
      tables: [medianTable('Each way', samples), ratioTable('Troupe beside its broker', rows)],
      charts: throughputChart('broker', '64 in flight', samples, 64),
    };
  },
};
