/**
 * Owns how the cluster's own NATS runs: its configuration file, its environment, and how to tell that it is up and ours.
 * Called by cluster.mjs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { isAtLeast } from './servers.mjs';

/**
 * @param {{ version: string, port: number, dataFolder: string, serverName: string }} settings
 */
export function natsConfig({ version, port, dataFolder, serverName }) {
  // Acks before fsync lose acked messages with the power; 2.9 does not know the setting and refuses to start with it.
  const sync = isAtLeast(version, '2.10.0') ? '  sync_interval: always\n' : '';
  return `# Written at every start; changes made here are lost.
server_name: ${JSON.stringify(serverName)}
host: 127.0.0.1
port: ${port}
max_payload: 8MB
# Room for a pull of large messages: at the default of 64 MB such a connection is cut as a slow consumer.
max_pending: 256MB
jetstream {
  store_dir: ${JSON.stringify(dataFolder)}
${sync}  # What streams may reserve in sum, not what they use: every model's stream reserves its own limit.
  max_memory_store: 256GB
  max_file_store: 256GB
}
`;
}

/**
 * What of its environment makes nats-server faster, where nobody has set it. Each message passes through memory that Go
 * collects: at five times what is in use instead of twice, it collects a quarter as often (a request of 3 kB costs the server
 * a third less processor time). With half of the machine's memory in use it collects as often as it must. And half
 * of the cores is enough for it: on a machine with two it took a quarter less processor time for a request, and the cluster gave
 * a tenth more answers of small models. Threads that Go wakes to look for work are the likely reason.
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {{ memoryBytes?: number, cores?: number }} [machine]
 */
export function natsEnvironment(
  env,
  { memoryBytes = availableBytes(), cores = availableParallelism() } = {},
) {
  return {
    GOGC: env.GOGC || '400',
    GOMAXPROCS: env.GOMAXPROCS || String(Math.max(1, Math.floor(cores / 2))),
    GOMEMLIMIT: env.GOMEMLIMIT || `${Math.max(64, Math.floor(memoryBytes / 2 / 2 ** 20))}MiB`,
  };
}

/** The machine's memory, or what of it a container may take. */
function availableBytes() {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Writes the configuration and says how to run it.
 * @param {{ server: import('./servers.mjs').Server, port: number, dataFolder: string, runId: string,
 *   env: Readonly<Record<string, string | undefined>> }} settings
 */
export function prepareNats({ server, port, dataFolder, runId, env }) {
  mkdirSync(dataFolder, { recursive: true });
  const serverName = `troupe-${runId}`;
  const configPath = join(dataFolder, 'nats-server.conf');
  writeFileSync(configPath, natsConfig({ version: server.version, port, dataFolder, serverName }));
  return {
    command: server.path,
    args: ['-c', configPath],
    env: natsEnvironment(env),
    /** @param {number} _pid */
    probe: async (_pid) => {
      const text = await exchange(port, '', /\r\n/);
      return text.startsWith('INFO ') && text.includes(`"server_name":${JSON.stringify(serverName)}`);
    },
  };
}

/**
 * Connects, sends, and resolves with what has come when `until` matches; rejects within a second otherwise.
 * @param {number} port
 * @param {string} request
 * @param {RegExp} until
 * @returns {Promise<string>}
 */
export function exchange(port, request, until) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    socket.setTimeout(1_000, () => socket.destroy(new Error('no answer within a second')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('connection closed')));
    socket.on('connect', () => socket.write(request));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!until.test(text)) return;
      resolve(text);
      socket.destroy();
    });
  });
}
