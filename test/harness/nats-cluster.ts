/**
 * A cluster of real nats-server processes for tests, with routes between them and JetStream on each. `servers` are
 * killed, frozen and started again one by one; `url` names them all, as a team would configure it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connectNats } from '@troupe/shared/nats';
import { type NatsServer, startNats } from './nats-server.js';
import { freePort } from './ports.js';

export interface NatsCluster {
  readonly servers: readonly NatsServer[];
  /** Addresses of all servers, separated by commas. */
  readonly url: string;
  /** The first server under the addresses of all: what `startCluster` takes. */
  readonly entry: NatsServer;
  /** The server of this name (`n1`, `n2`, …), as stream information tells leaders and replicas. */
  server(name: string): NatsServer;
  /** Ends all for good. Idempotent. */
  stop(): Promise<void>;
}

export interface NatsClusterOptions {
  /** Default 3. */
  readonly size?: number;
  /** Servers that have JetStream; default all. */
  readonly withJetStream?: number;
}

/** The name that servers give themselves. */
const clusterName = 'trio';
const startLimitMs = 60_000;
const startAttempts = 3;

/** Starts the servers and resolves once JetStream answers through each that has it. */
export async function startNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options.size ?? 3, options.withJetStream ?? options.size ?? 3);
    } catch (thrown) {
      // Ports of routes stand in every server's configuration, so one that was taken meanwhile needs all anew.
      const taken = thrown instanceof Error && /address already in use/i.test(thrown.message);
      if (!taken || attempt === startAttempts) throw thrown;
    }
  }
}

async function startOnce(size: number, withJetStream: number): Promise<NatsCluster> {
  const routePorts: number[] = [];
  for (let index = 0; index < size; index += 1) routePorts.push(await freePort());
  const routes = routePorts.map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
  const started = await Promise.allSettled(
    routePorts.map((port, index) =>
      startNats({
        jetstream: index < withJetStream,
        config: `server_name: n${index + 1}
cluster { name: ${clusterName}, listen: "127.0.0.1:${port}", routes: [${routes}] }`,
      }),
    ),
  );
  const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  const failed = started.find((one) => one.status === 'rejected');
  try {
    if (failed !== undefined) throw failed.reason;
    for (const server of servers.slice(0, withJetStream)) await untilJetStream(server);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const url = servers.map((server) => server.url).join(',');
  return {
    servers,
    url,
    entry: Object.create(servers[0] as NatsServer, { url: { value: url } }) as NatsServer,
    server(name) {
      const server = servers[Number(name.slice(1)) - 1];
      if (server === undefined) throw new Error(`no server is called ${name}`);
      return server;
    },
    stop,
  };
}

/** A cluster answers for JetStream once its servers have chosen a leader among them. */
async function untilJetStream(server: NatsServer): Promise<void> {
  const untilMs = performance.now() + startLimitMs;
  for (;;) {
    try {
      const link = await connectNats({
        servers: server.url,
        name: 'harness',
        namespace: 'harness',
        connectTimeoutMs: 2_000,
      });
      await link.close();
      return;
    } catch (thrown) {
      if (performance.now() > untilMs) throw thrown;
      await pause(200);
    }
  }
}
