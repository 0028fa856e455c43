/** Addresses of NATS servers: lists, credentials in them, and whether anything that speaks NATS is there. */
import { connect, type Socket } from 'node:net';

const defaultPort = 4222;

/** Addresses as a list. */
export function splitServers(servers: string | readonly string[]): string[] {
  const list = typeof servers === 'string' ? servers.split(',') : [...servers];
  return list.map((server) => server.trim()).filter((server) => server !== '');
}

/** An address without user, password and token, for messages and logs. */
export function hideCredentials(server: string): string {
  return server.replace(/\/\/[^@/]*@/, '//');
}

/** Credentials that stand in an address: the library takes them as options only. */
export interface AddressCredentials {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

/** Credentials of the first address that has some: `nats://user:password@host` or `nats://token@host`. */
export function credentialsOf(servers: readonly string[]): AddressCredentials {
  for (const server of servers) {
    const match = /\/\/([^@/:]*)(?::([^@/]*))?@/.exec(server);
    if (match === null) continue;
    const first = decodeURIComponent(match[1] ?? '');
    return match[2] === undefined ? { token: first } : { user: first, pass: decodeURIComponent(match[2]) };
  }
  return {};
}

/**
 * Rejects unless one of the servers greets within the time. Asked before the library connects: it never closes the
 * socket to a server that takes the connection and says nothing, which keeps the process alive.
 */
export async function awaitGreeting(
  servers: readonly string[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const sockets: Socket[] = [];
  // A destroyed socket says 'close', which settles its wait.
  const giveUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const greets = (server: string) =>
    new Promise<void>((resolve, reject) => {
      const bare = hideCredentials(server);
      let address: URL;
      try {
        address = new URL(bare.includes('://') ? bare : `nats://${bare}`);
      } catch {
        reject(new Error(`${bare} is not an address`));
        return;
      }
      const socket = connect(Number(address.port || defaultPort), address.hostname.replace(/^\[|\]$/g, ''));
      sockets.push(socket);
      socket.setTimeout(timeoutMs, () => reject(new Error(`it said nothing for ${timeoutMs} ms`)));
      socket.once('data', (data: Buffer) => {
        if (data.toString('latin1').startsWith('INFO')) resolve();
        else reject(new Error('it does not speak NATS'));
      });
      socket.once('error', (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message)));
      socket.once('close', () => reject(new Error('it closed the connection')));
    });
  signal?.addEventListener('abort', giveUp);
  try {
    await Promise.any(servers.map(greets));
  } catch (error) {
    const causes =
      error instanceof AggregateError ? error.errors.map((one: Error) => one.message) : [String(error)];
    throw new Error([...new Set(causes)].join('; '));
  } finally {
    signal?.removeEventListener('abort', giveUp);
    giveUp();
  }
}
