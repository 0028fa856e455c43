/**
 * A cluster as a client sees one: a real nats-server, routing entries, runners made of the real puller and codec (they
 * echo, hold, or refuse), and an admin service. Stands in for coordinator and host, which this package may not import.
 */
import {
  decodeInferRequest,
  defaultNamespace,
  encodeInferResponse,
  type InferRequest,
  type RouteVersion,
  type RoutingEntry,
  type Signature,
  type Tensor,
  TroupeError,
  wantsBinary,
} from '@troupe/shared';
import {
  type AdminEndpoint,
  connectNats,
  createRoutingPublisher,
  createWorkPuller,
  declareRecordStreams,
  declareWorkConsumer,
  type NatsLink,
  publishEvent,
  serveAdmin,
  serveCancels,
  subscribeCancels,
  type WorkMessage,
  type WorkPuller,
  workQueueCounts,
} from '@troupe/shared/nats';
import { type NatsServer, type NatsServerOptions, startNats } from '../../../test/harness/nats-server.js';

const limits = { queueLimit: 10_000, streamBytes: 64 * 1024 * 1024, ackWaitMs: 2_000 };

/** What a runner does with a request: outputs, an error, or nothing at all for now. */
export type Behaviour = (
  request: InferRequest,
  message: WorkMessage,
) => readonly Tensor[] | TroupeError | 'hold';

export interface StandInRunner {
  /** Request ids in the order of their runs, repeats included. */
  readonly runs: readonly string[];
  readonly messages: readonly WorkMessage[];
  /** Requests that it holds without an answer. */
  readonly heldCount: number;
  /** Acks what it holds, as a runner does whose requests have lapsed. */
  dropHeld(): void;
  stop(): Promise<void>;
}

export interface StandInCluster {
  readonly nats: NatsServer;
  readonly url: string;
  readonly link: NatsLink;
  /** A version with a runner and a route; replaces the model's entry. */
  serve(model: string, version: number, signature: Signature, behaviour?: Behaviour): Promise<StandInRunner>;
  route(
    model: string,
    versions: Record<number, Partial<RouteVersion> & { signature: Signature }>,
    labels?: Record<string, number>,
  ): Promise<void>;
  unroute(model: string): Promise<void>;
  serveAdmin(
    endpoints: Record<string, (args: Readonly<Record<string, unknown>>) => Promise<unknown>>,
  ): Promise<void>;
  emit(text: string): void;
  waiting(model: string, version?: number): Promise<{ pending: number; ackPending: number }>;
  stop(): Promise<void>;
}

/** Every input comes back as the output of the same name, of another one where the signature says so by position. */
export const echo: Behaviour = (request) => request.inputs;

export async function startStandIn(options: NatsServerOptions = {}): Promise<StandInCluster> {
  const nats = await startNats(options);
  const stops: (() => Promise<void>)[] = [];
  try {
    const link = await connectNats({ servers: nats.url, name: 'stand-in', namespace: defaultNamespace });
    stops.push(() => link.close());
    await declareRecordStreams(link);
    const publisher = createRoutingPublisher(link);
    const stopCancels = serveCancels(link, () => undefined);
    stops.unshift(async () => stopCancels());

    const cluster: StandInCluster = {
      nats,
      url: nats.url,
      link,
      async serve(model, version, signature, behaviour = echo) {
        await declareWorkConsumer(link, model, version, limits);
        const runner = startRunner(link, model, version, signature, behaviour);
        stops.unshift(() => runner.stop());
        await cluster.route(model, { [version]: { signature } });
        return runner;
      },
      async route(model, versions, labels) {
        const numbers = Object.keys(versions).map(Number);
        const newest = Math.max(...numbers);
        const entry: RoutingEntry = {
          epoch: 1,
          model,
          labels: labels ?? { stable: newest },
          weights: [{ version: labels?.stable ?? newest, weight: 1 }],
          versions: Object.fromEntries(
            Object.entries(versions).map(([version, route]) => [
              version,
              { serving: 1, wanted: 1, state: 'ready' as const, ...route },
            ]),
          ),
        };
        await publisher.publish(entry);
      },
      async unroute(model) {
        await publisher.remove(model, 1);
      },
      async serveAdmin(handlers) {
        const endpoints: AdminEndpoint[] = Object.entries(handlers).map(([name, handle]) => {
          const [noun = '', verb = ''] = name.split('.');
          return { noun, verb, handle };
        });
        const service = await serveAdmin(
          link,
          { version: '0.1.0', description: 'stand-in', endpoints },
          () => undefined,
        );
        stops.unshift(() => service.stop());
      },
      emit: (text) => publishEvent(link, { kind: 'worker.state', source: 'host/test', text, data: {} }),
      async waiting(model, version = 1) {
        const counts = await workQueueCounts(link, model, version);
        return { pending: counts?.pending ?? 0, ackPending: counts?.ackPending ?? 0 };
      },
      async stop() {
        try {
          for (const stop of stops.splice(0)) await stop();
        } finally {
          await nats.stop();
        }
      },
    };
    return cluster;
  } catch (error) {
    await nats.stop();
    throw error;
  }
}

function startRunner(
  link: NatsLink,
  model: string,
  version: number,
  signature: Signature,
  behaviour: Behaviour,
): StandInRunner {
  const runs: string[] = [];
  const messages: WorkMessage[] = [];
  const held = new Map<string, WorkMessage>();
  const puller: WorkPuller = createWorkPuller(link, {
    model,
    version,
    limits,
    freeSlots: () => 2_000 - held.size,
    onError: () => undefined,
    onMessage: (message) => {
      runs.push(message.requestId);
      messages.push(message);
      run(message);
      puller.pullMore();
    },
  });

  function run(message: WorkMessage): void {
    try {
      const request = decodeInferRequest(message.payload, message.jsonLength, signature);
      const outputs = behaviour(request, message);
      if (outputs === 'hold') {
        held.set(message.requestId, message);
        return;
      }
      if (outputs instanceof TroupeError) {
        puller.answer(message, outputs);
        return;
      }
      const { id } = request;
      const response = {
        modelName: model,
        modelVersion: String(version),
        ...(id === undefined ? {} : { id }),
        outputs,
      };
      puller.answer(
        message,
        encodeInferResponse(response, (name) => wantsBinary(request, name)),
      );
    } catch (error) {
      puller.answer(
        message,
        error instanceof TroupeError ? error : new TroupeError('model.run_failed', String(error)),
      );
    }
  }

  const keepHeld = setInterval(() => {
    for (const message of held.values()) puller.inProgress(message);
  }, limits.ackWaitMs / 4);
  const stopCancels = subscribeCancels(link, model, version, ({ id: requestId }) => {
    const message = held.get(requestId);
    if (message === undefined) return;
    held.delete(requestId);
    puller.ack(message);
    puller.pullMore();
  });
  puller.start();
  return {
    runs,
    messages,
    get heldCount() {
      return held.size;
    },
    dropHeld() {
      for (const message of held.values()) puller.ack(message);
      held.clear();
      puller.pullMore();
    },
    async stop() {
      clearInterval(keepHeld);
      stopCancels();
      await puller.stop();
    },
  };
}
