/** Real redis-server processes for tests: loopback, a random port, a directory of their own, append-only file on. */
import { freePort } from './ports.js';
import { removeDirectory, ServerProcess, startOnPort, temporaryDirectory } from './server-process.js';

export interface RedisServerOptions {
  /** Data directory; default a temporary one, which `stop()` removes. */
  readonly dir?: string;
  /** Default a free one. */
  readonly port?: number;
  /** Default true. */
  readonly appendonly?: boolean;
  /** Further arguments, for example `['--requirepass', 'secret']`. */
  readonly args?: readonly string[];
}

export interface RedisServer {
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

/** Starts a redis-server and resolves once it takes connections. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const dir = options.dir ?? temporaryDirectory('redis');
  try {
    return await startOnPort(options.port, freePort, async (port) => {
      const server = new ServerProcess({
        program: 'redis-server',
        args: [
          '--port',
          String(port),
          '--bind',
          '127.0.0.1',
          '--save',
          '',
          '--dir',
          dir,
          '--appendonly',
          options.appendonly === false ? 'no' : 'yes',
          ...(options.args ?? []),
        ],
        readyPattern: /Ready to accept connections/,
      });
      await server.start();
      return {
        url: `redis://127.0.0.1:${port}`,
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
