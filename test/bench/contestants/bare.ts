/** Bare NATS and bare JetStream, without anything of Troupe's: what its way costs at least. */
import type { NatsServer } from '../../harness/nats-server.js';
import { startChild } from '../child.js';
import type { LoadResult } from '../closed-loop.js';
import type { LoadCall } from '../load-generator.js';
import type { BareJetStreamOrder } from '../servers/bare-jetstream-server.js';
import type { Contestant } from './contestant.js';

/** A server, or all of a cluster: whatever is ended with the contestant. */
type Servers = Pick<NatsServer, 'url' | 'stop'>;

/** Request and reply over bare NATS. */
export function bareNats(start: () => Promise<Servers>): Contestant {
  return bare(
    'nats',
    'One subscription on each side and whole frames: nothing is kept, nothing is acknowledged.',
    'bare-nats',
    start,
    async (url) =>
      startChild<{ url: string }, void>('./servers/bare-nats-server.ts').then(async (child) => {
        await child.call({ url });
        return child;
      }),
  );
}

/** The way of a message through Troupe without codec, batcher and runtime. */
export function bareJetStream(name: string, replicas: number, start: () => Promise<Servers>): Contestant {
  return bare(
    name,
    'Publish with the PubAck on the inbox, pulls that are accounted for, answer and ack in one piece, whole frames.',
    'bare-jetstream',
    start,
    async (url) =>
      startChild<BareJetStreamOrder, void>('./servers/bare-jetstream-server.ts').then(async (child) => {
        await child.call({ url, replicas });
        return child;
      }),
  );
}

function bare(
  name: string,
  why: string,
  kind: 'bare-nats' | 'bare-jetstream',
  startServers: () => Promise<Servers>,
  startWorker: (url: string) => Promise<{ stop(): Promise<void> }>,
): Contestant {
  return {
    name,
    why,
    async start(stage) {
      const servers = stage.own(await startServers());
      stage.own(await startWorker(servers.url));
      const load = await startChild<LoadCall, LoadResult>('./load-generator.ts');
      return {
        measure: (model, order) =>
          load.call({ ...order, model, servedAs: model.name, address: { kind, url: servers.url } }),
        stop: () => load.stop(),
      };
    },
  };
}
