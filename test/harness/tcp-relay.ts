/**
 * A relay between a process and a server, so that a test can cut the cable: while it is cut, connections stay open,
 * new ones are taken, and no byte gets through in either direction. Used by `startCluster` where a host is `relayed`.
 */
import { createServer, connect as dial, type Socket } from 'node:net';

export interface TcpRelay {
  readonly port: number;
  /** Nothing gets through from now on; nobody is told. */
  cut(): void;
  /** What has waited goes on its way. */
  heal(): void;
  close(): Promise<void>;
}

/** Starts a relay to a port of the loopback interface. */
export async function startRelay(targetPort: number): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  let isCut = false;

  const forward = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => {
        if (!isCut) from.resume();
      });
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
    if (isCut) from.pause();
  };

  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = dial({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    forward(incoming, outgoing);
    forward(outgoing, incoming);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  server.unref();
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    cut() {
      isCut = true;
      for (const socket of sockets) socket.pause();
    },
    heal() {
      isCut = false;
      for (const socket of sockets) socket.resume();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
