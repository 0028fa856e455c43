/**
 * Owns how the cluster's own Redis runs: its configuration file, and how to tell that it is up and ours. Called by
 * cluster.mjs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exchange } from './nats-process.mjs';

/**
 * @param {{ port: number, dataFolder: string }} settings
 */
export function redisConfig({ port, dataFolder }) {
  return `# Written at every start; changes made here are lost.
bind 127.0.0.1
protected-mode yes
port ${port}
daemonize no
dir ${JSON.stringify(dataFolder)}
# Fencing tokens must not go back after a crash.
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
# Its title would overwrite its environment, by which the next start finds what a killed launcher left.
set-proc-title no
`;
}

/**
 * Writes the configuration and says how to run it.
 * @param {{ server: import('./servers.mjs').Server, port: number, dataFolder: string }} settings
 */
export function prepareRedis({ server, port, dataFolder }) {
  mkdirSync(dataFolder, { recursive: true });
  const configPath = join(dataFolder, 'redis.conf');
  writeFileSync(configPath, redisConfig({ port, dataFolder }));
  return {
    command: server.path,
    args: [configPath],
    // It answers PING with -LOADING until the append-only file is read.
    /** @param {number} pid */
    probe: async (pid) => {
      const text = await exchange(port, 'PING\r\nINFO server\r\n', /process_id:\d+\r\n/);
      return text.startsWith('+PONG') && text.includes(`process_id:${pid}\r\n`);
    },
  };
}
