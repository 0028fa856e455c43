/**
 * The cluster that the Troupe contestants ask: servers, a coordinator and a host from the built packages, every process
 * with the settings that it has by itself, and each model once, on one worker.
 */
import { availableParallelism } from 'node:os';
import type { TroupeClient } from '@troupe/client';
import { startCluster, type TestCluster } from '../../harness/cluster.js';
import type { NatsServer } from '../../harness/nats-server.js';
import type { BenchModel } from '../bench-model.js';

export interface ServedModel {
  readonly model: BenchModel;
  /** Default the model's own name. */
  readonly name?: string;
  readonly maxBatchSize?: number;
  readonly maxDelayMs?: number;
  /** Workers; default 1. */
  readonly replicas?: number;
}

export interface BenchCluster {
  readonly cluster: TestCluster;
  readonly natsUrl: string;
  readonly namespace: string;
  /** Registers a model with one worker, waits until it serves, and returns its name; a second call finds it there. */
  serve(served: ServedModel): Promise<string>;
  /** What its processes have printed, the newest part of each. */
  logs(): string;
  stop(): Promise<void>;
}

/** Devices by which a runner gets this many intra-op threads: a host shares its cores among its `cpu:N`. */
function devicesFor(intraOpThreads: number): string {
  const shares = Math.max(1, Math.floor(availableParallelism() / intraOpThreads));
  return Array.from({ length: shares }, (_, index) => `cpu:${index}`).join(',');
}

export async function startBenchCluster(
  intraOpThreads: number,
  nats?: NatsServer,
  env: Readonly<Record<string, string>> = {},
): Promise<BenchCluster> {
  const cluster = await startCluster({
    devices: devicesFor(intraOpThreads),
    env,
    ...(nats === undefined ? {} : { nats }),
  });
  const client: TroupeClient = await cluster.connect();
  const served = new Map<string, Promise<string>>();
  async function register({ model, name = model.name, ...settings }: ServedModel): Promise<string> {
    await client.registerModel({ name, file: model.path, replicas: 1, ...settings });
    return name;
  }
  return {
    cluster,
    natsUrl: cluster.natsUrl,
    namespace: cluster.namespace,
    serve(wanted) {
      const name = wanted.name ?? wanted.model.name;
      let done = served.get(name);
      if (done === undefined) {
        done = register(wanted);
        served.set(name, done);
      }
      return done;
    },
    logs: () => cluster.logs(),
    stop: () => cluster.stop(),
  };
}
