/** `connect()`: from options to a client, with errors that say which address was tried and where it came from. */
import { readEnvironment, TraceShare, TroupeError } from '@troupe/shared';
import {
  callAdmin,
  connectNats,
  createRoutingView,
  hasRecordStreams,
  type NatsLink,
  type RoutingView,
} from '@troupe/shared/nats';
import { createClient, type TroupeClient } from './client.js';
import {
  type CheckedConnectOptions,
  type ConnectOptions,
  checkConnectOptions,
  resolveConnectOptions,
} from './connect-options.js';

/** Between two looks for the routing table of a cluster that starts. */
const lookAgainMs = 100;
/** For a coordinator that is there to answer. */
const coordinatorPatienceMs = 1_000;

/**
 * Connects to a cluster. Where it is: `servers`, else `NATS_URL`, else the nearest `.troupe/cluster.json` from the
 * working directory upwards, else `nats://127.0.0.1:4222`.
 *
 * @example
 * await using troupe = await connect();
 * const { outputs } = await troupe.infer('iris', [[5.1, 3.5, 1.4, 0.2]]);
 *
 * @throws `config.invalid`; `nats.unreachable`; `nats.unauthorized`; `nats.no_jetstream` (a NATS server that cannot
 *   carry Troupe); `cluster.absent` (one that does not).
 */
export async function connect(options: ConnectOptions = {}): Promise<TroupeClient> {
  return connectTo(resolveConnection(options));
}

/** The same with a connection that is resolved already. Rejects as `connect()`. */
export async function connectTo(checked: CheckedConnectOptions): Promise<TroupeClient> {
  const environment = readEnvironment();
  const link = await openLink(checked);
  let view: RoutingView | undefined;
  try {
    view = await openView(link, checked);
    await assertCluster(link, view, checked);
    const { deadlineMs } = environment.cluster;
    return createClient(link, view, { deadlineMs, traceShare: new TraceShare(checked.traceShare) });
  } catch (error) {
    await view?.close();
    await link.close();
    throw error;
  }
}

/** Options as given to those that travel inside, with what environment and files add. Throws `config.invalid`. */
function resolveConnection(options: ConnectOptions): CheckedConnectOptions {
  return checkConnectOptions(resolveConnectOptions(options, readEnvironment(), process.cwd()));
}

/** Opens the link alone; whether a Troupe is behind it is not looked at. */
export async function openLink(options: CheckedConnectOptions): Promise<NatsLink> {
  const { servers, name, namespace, connectTimeoutMs, access } = options;
  try {
    return await connectNats({ servers, name, namespace, connectTimeoutMs, access });
  } catch (error) {
    throw explain(error, options);
  }
}

/** Opens the routing table; one that a starting cluster has not declared yet is waited for. */
async function openView(link: NatsLink, options: CheckedConnectOptions): Promise<RoutingView> {
  const untilMs = performance.now() + options.connectTimeoutMs;
  for (;;) {
    try {
      // What the view misses it reads again by itself; nobody has to be told in between.
      return await createRoutingView(link, () => undefined);
    } catch (error) {
      if (!(error instanceof TroupeError) || error.reason !== 'cluster.absent') throw error;
      if (performance.now() >= untilMs || !(await isComing(link))) throw explain(error, options);
    }
    await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
  }
}

/** Whether a Troupe without routing table is one that starts: it keeps events already, or a coordinator answers. */
async function isComing(link: NatsLink): Promise<boolean> {
  // A user who may only ask may not look.
  if (await hasRecordStreams(link).catch(() => false)) return true;
  return callAdmin(link, 'cluster', 'info', {}, { timeoutMs: coordinatorPatienceMs }).then(
    () => true,
    (error: unknown) => !(error instanceof TroupeError) || error.reason !== 'cluster.absent',
  );
}

/** A cluster is there where models are routed (its coordinators may be down) or a coordinator answers. */
async function assertCluster(
  link: NatsLink,
  view: RoutingView,
  options: CheckedConnectOptions,
): Promise<void> {
  if (view.models().length > 0) return;
  try {
    await callAdmin(link, 'cluster', 'info', {}, { timeoutMs: options.connectTimeoutMs });
  } catch (error) {
    // A coordinator that is slow, or has its own trouble, is there all the same.
    if (error instanceof TroupeError && error.reason === 'cluster.absent') throw explain(error, options);
  }
}

/** The same error, with where the address came from, which is what people look for first. */
function explain(error: unknown, options: CheckedConnectOptions): unknown {
  if (!(error instanceof TroupeError)) return error;
  const hint =
    error.reason === 'nats.unreachable'
      ? '; start a cluster here with npm start, or say where one is (NATS_URL, --nats, the option servers)'
      : '';
  return new TroupeError(error.reason, `${error.message}; the address came from ${options.origin}${hint}`, {
    cause: error,
  });
}
