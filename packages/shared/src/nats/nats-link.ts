/**
 * The connection of a process to NATS. Everything of Troupe that talks to NATS goes through a link and the files
 * of this folder; nothing else imports the client library.
 *
 * Two traps of the library decide the shape: it drops what is published while disconnected, without an error, so
 * every publish of ours is either answered or repeated; and it gives up for good after ten reconnects unless told.
 */
import { connect, type NatsConnection, NatsError } from 'nats';
import { defaults } from '../config/defaults.js';
import type { NatsReplicas } from '../config/environment.js';
import { type NatsAccess, untrustedCertificate } from '../config/server-access.js';
import { TroupeError } from '../errors/troupe-error.js';
import { createSubjects, type Subjects } from '../names/subjects.js';
import type { Log } from '../observability/log.js';
import { machineClockMs } from '../process/machine-clock.js';
import { isStarting } from './jetstream-error.js';
import { presizeMessages, readDirectly } from './library-reading.js';
import { gatherFlushes } from './library-sending.js';
import { MessageMemory } from './message-memory.js';
import { natsAccessOptions } from './nats-access.js';
import { awaitGreeting, hideCredentials, splitServers } from './server-address.js';

/** How to reach NATS. */
export interface NatsOptions {
  /** `nats://host:port`, several of a cluster as a list or separated by commas. */
  readonly servers: string | readonly string[];
  /** Shown by the server in its list of connections. */
  readonly name: string;
  readonly namespace: string;
  /** Credentials and trust; default what stands in the addresses. */
  readonly access?: NatsAccess;
  /** Copies of each stream that this process declares. Default `auto`. */
  readonly replicas?: NatsReplicas;
  /** For the first connection, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Ends an attempt to connect before its time; the link itself does not hear it. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
}

/** A live connection, with the names of one Troupe. */
export interface NatsLink {
  /** The library's connection; for the files of this folder only. */
  readonly connection: NatsConnection;
  readonly options: NatsOptions;
  readonly subjects: Subjects;
  /** Addresses without credentials, for messages. */
  readonly servers: string;
  /** Of large messages, those that come in and those that are sent. */
  readonly memory: MessageMemory;
  /** Largest message that the server takes, headers included, in bytes. */
  maxPayloadBytes(): number;
  isConnected(): boolean;
  /** Changes when the server process that we talk to is another: stream sequences of before may mean other messages. */
  serverId(): string | undefined;
  /** Since when it is the same, as far as is known here, on the machine's clock, in milliseconds. */
  serverSinceMs(): number;
  onReconnect(listener: () => void): () => void;
  onDisconnect(listener: () => void): () => void;
  /** Resolves when the connection is closed for good, with the reason where it was not asked for. */
  readonly closed: Promise<Error | undefined>;
  /** Flushes and closes, within a bound. Idempotent. */
  close(): Promise<void>;
}

function classifyConnectError(error: unknown, servers: string): TroupeError {
  const code = error instanceof NatsError ? error.code : '';
  if (
    code === 'AUTHORIZATION_VIOLATION' ||
    code === 'AUTHENTICATION_EXPIRED' ||
    code === 'BAD_AUTHENTICATION' ||
    code === 'BAD_CREDS'
  ) {
    return new TroupeError('nats.unauthorized', `NATS at ${servers} refused the credentials`, {
      cause: error,
    });
  }
  const certificate = untrustedCertificate(error);
  if (certificate !== undefined) {
    return new TroupeError(
      'config.invalid',
      `NATS at ${servers} shows a certificate that is not trusted (${certificate}): name the file of its authority (NATS_CA)`,
      { cause: error },
    );
  }
  if (code === 'SERVER_OPT_NA') {
    return new TroupeError(
      'config.invalid',
      `NATS at ${servers} offers no TLS, which NATS_CA or tls:// asks for`,
      {
        cause: error,
      },
    );
  }
  const text = error instanceof Error ? error.message : String(error);
  return new TroupeError('nats.unreachable', `no NATS server answered at ${servers} (${text})`, {
    cause: error,
  });
}

/** Listeners that may come and go while being called. */
class Listeners {
  private readonly all = new Set<() => void>();

  add(listener: () => void): () => void {
    // Wrapped, so that one function may listen twice and each is removed alone.
    const entry = () => listener();
    this.all.add(entry);
    return () => this.all.delete(entry);
  }

  call(log: Log | undefined): void {
    // A copy: a listener may remove itself or others while it is called.
    for (const listener of Array.from(this.all)) {
      try {
        listener();
      } catch (error) {
        log?.error({ err: error }, 'a connection listener threw');
      }
    }
  }
}

/**
 * Connects; rejects with `nats.unreachable`, `nats.unauthorized`, `nats.no_jetstream`, or `config.invalid` where a file
 * or a certificate is at fault. Once connected it
 * reconnects for ever.
 */
export async function connectNats(options: NatsOptions): Promise<NatsLink> {
  const list = splitServers(options.servers);
  const servers = list.map(hideCredentials).join(', ');
  const wrong = list
    .map(hideCredentials)
    .find((one) => !URL.canParse(one.includes('://') ? one : `nats://${one}`));
  if (list.length === 0 || wrong !== undefined) {
    throw new TroupeError(
      'config.invalid',
      `${wrong ?? 'nothing'} is not an address of NATS (NATS_URL): write nats://host:port`,
    );
  }
  const timeoutMs = options.connectTimeoutMs ?? defaults.connectTimeoutMs;
  const access = natsAccessOptions(list, options.access);
  let connection: NatsConnection;
  try {
    await awaitGreeting(list, timeoutMs, options.signal);
    connection = await connect({
      servers: list.map(hideCredentials),
      ...access,
      name: options.name,
      timeout: timeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 100,
      pingInterval: 5_000,
      maxPingOut: 2,
    });
  } catch (error) {
    throw classifyConnectError(error, servers);
  }
  const unreadable = (error: Error) =>
    options.log?.error({ err: error }, 'what came from NATS could not be read: connecting again');
  gatherFlushes(connection);
  const memory = new MessageMemory();
  presizeMessages(connection, memory);
  readDirectly(connection, unreadable);
  try {
    const jsm = await connection.jetstreamManager({ timeout: timeoutMs });
    await jsm.getAccountInfo();
  } catch (error) {
    await connection.close();
    if (isStarting(error)) {
      throw new TroupeError(
        'nats.unreachable',
        `JetStream of the NATS server at ${servers} does not answer yet`,
        {
          cause: error,
        },
      );
    }
    throw new TroupeError(
      'nats.no_jetstream',
      `the NATS server at ${servers} has no JetStream for this account: start it with -js, or enable jetstream in its configuration`,
      { cause: error },
    );
  }

  const reconnects = new Listeners();
  const disconnects = new Listeners();
  let connected = true;
  let serverId = connection.info?.server_id;
  let serverSinceMs = machineClockMs();
  let maxPayload = connection.info?.max_payload ?? 1024 * 1024;
  const watchStatus = async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        if (!connected) continue;
        connected = false;
        options.log?.warn({ servers }, 'NATS disconnected');
        disconnects.call(options.log);
      } else if (status.type === 'reconnect') {
        connected = true;
        readDirectly(connection, unreadable);
        const now = connection.info?.server_id ?? serverId;
        if (now !== serverId) serverSinceMs = machineClockMs();
        serverId = now;
        maxPayload = connection.info?.max_payload ?? maxPayload;
        options.log?.info({ servers }, 'NATS connected again');
        reconnects.call(options.log);
      } else if (status.type === 'error') {
        // What an account may not do comes as an error of the connection, some time after it was tried.
        const { operation, subject } = status.permissionContext ?? {};
        options.log?.warn({ error: JSON.stringify(status.data), operation, subject }, 'NATS error');
      }
    }
  };
  watchStatus().catch((error: unknown) => options.log?.error({ err: error }, 'the NATS status watch ended'));

  let closing: Promise<void> | undefined;
  const closeWithin = async (boundMs: number) => {
    let timer: NodeJS.Timeout | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, boundMs);
    });
    // A flush on a cut connection never ends; what could be sent was sent.
    const flushed = connected ? connection.flush().catch(() => undefined) : Promise.resolve();
    await Promise.race([flushed, bound]);
    clearTimeout(timer);
    connected = false;
    await connection.close();
  };

  return {
    connection,
    options,
    subjects: createSubjects(options.namespace),
    servers,
    memory,
    maxPayloadBytes: () => Math.min(maxPayload, defaults.maxMessageBytes),
    isConnected: () => connected && !connection.isClosed(),
    serverId: () => serverId,
    serverSinceMs: () => serverSinceMs,
    onReconnect: (listener) => reconnects.add(listener),
    onDisconnect: (listener) => disconnects.add(listener),
    closed: connection.closed().then((error) => error ?? undefined),
    close: () => {
      closing ??= closeWithin(2_000);
      return closing;
    },
  };
}
