/** Clients that do nothing but know the routes: each with a connection and a view of its own, as every SDK client has. */
import { connectNats, createRoutingView, type RoutingView } from '@troupe/shared/nats';
import { serveCalls } from '../child.js';

export type ClientsOrder =
  | { readonly kind: 'open'; readonly natsUrl: string; readonly namespace: string; readonly count: number }
  /** Resolves once every client knows the label; with the moment at which each came to know it. */
  | { readonly kind: 'await'; readonly model: string; readonly label: string };

/** Opened at once: each reads the whole table first. */
const atOnce = 20;
const awaitLimitMs = 60_000;
const views: RoutingView[] = [];

/** The machine's monotonic clock, the same in every process, in milliseconds. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

async function open({
  natsUrl,
  namespace,
  count,
}: Extract<ClientsOrder, { kind: 'open' }>): Promise<number[]> {
  while (views.length < count) {
    const batch = Math.min(atOnce, count - views.length);
    const more = await Promise.all(
      Array.from({ length: batch }, async (_, index) => {
        const link = await connectNats({
          servers: natsUrl,
          name: `client-${views.length + index}`,
          namespace,
        });
        return createRoutingView(link, () => undefined);
      }),
    );
    views.push(...more);
  }
  return [];
}

function awaitLabel({ model, label }: Extract<ClientsOrder, { kind: 'await' }>): Promise<number[]> {
  return Promise.all(
    views.map(
      (view) =>
        new Promise<number>((resolve, reject) => {
          const late = setTimeout(() => reject(new Error(`${label} never came`)), awaitLimitMs);
          const look = () => {
            if (view.entry(model)?.labels[label] === undefined) return;
            stop();
            clearTimeout(late);
            resolve(nowMs());
          };
          const stop = view.onChange((changed) => {
            if (changed === model) look();
          });
          look();
        }),
    ),
  );
}

serveCalls(
  async (order: ClientsOrder): Promise<number[]> => (order.kind === 'open' ? open(order) : awaitLabel(order)),
);
