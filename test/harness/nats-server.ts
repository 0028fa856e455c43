/** Real nats-server processes for tests: loopback, a random port, a store directory of their own, JetStream on. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { natsEnvironment } from '../../deploy/local/nats-process.mjs';
import { freePort } from './ports.js';
import { removeDirectory, ServerProcess, startOnPort, temporaryDirectory } from './server-process.js';

export interface NatsServerOptions {
  /** Default a free one. */
  readonly port?: number;
  /** Directory of configuration and JetStream store; default a temporary one, which `stop()` removes. */
  readonly dir?: string;
  /** Further lines of the configuration file; a `jetstream` block of your own needs `jetstream: false`. */
  readonly config?: string;
  /** Default true: with its store in `<dir>/jetstream`. */
  readonly jetstream?: boolean;
  /** Largest payload in bytes; default 8 MiB. */
  readonly maxPayload?: number;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** Of the running process; another one after `restart()`. */
  readonly pid: number;
  readonly dir: string;
  /** Ends the process (default SIGKILL) and waits for its end; the directory stays. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same port and directory; first ends it by SIGTERM where it still runs. */
  restart(): Promise<void>;
  /** Ends it for good and removes the temporary directory. Idempotent. */
  stop(): Promise<void>;
}

/** Starts a nats-server and resolves once it takes connections. */
export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const dir = options.dir ?? temporaryDirectory('nats');
  try {
    return await startOnPort(options.port, freePort, async (port) => {
      const configFile = join(dir, 'nats-server.conf');
      const lines = [
        `listen: "127.0.0.1:${port}"`,
        `max_payload: ${options.maxPayload ?? 8 * 1024 * 1024}`,
        ...(options.jetstream === false
          ? []
          : [`jetstream { store_dir: ${JSON.stringify(join(dir, 'jetstream'))} }`]),
        options.config ?? '',
      ];
      writeFileSync(configFile, `${lines.join('\n')}\n`);
      const server = new ServerProcess({
        program: 'nats-server',
        args: ['-c', configFile],
        env: natsEnvironment(process.env), // as `npm start` runs it
        readyPattern: /Server is ready/,
      });
      await server.start();
      return {
        url: `nats://127.0.0.1:${port}`,
        port,
        dir,
        get pid() {
          return server.pid;
        },
        kill: (signal) => server.kill(signal),
        freeze: () => server.freeze(),
        thaw: () => server.thaw(),
        restart: async () => {
          await server.kill('SIGTERM');
          await server.start();
        },
        stop: async () => {
          await server.kill('SIGKILL');
          if (options.dir === undefined) removeDirectory(dir);
        },
      };
    });
  } catch (thrown) {
    if (options.dir === undefined) removeDirectory(dir);
    throw thrown;
  }
}
