/**
 * Owns the processes of the local cluster: in which order they start, with what, and in which order they end. Called by
 * launch.mjs. What one process is and needs stands in nats-process.mjs, redis-process.mjs and `troupeProcesses`.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Interrupted, SetupFault } from './fault.mjs';
import { prepareNats } from './nats-process.mjs';
import { isPortFree, pickPort } from './ports.mjs';
import { endInOrder, runIdVariable } from './processes.mjs';
import { prepareRedis } from './redis-process.mjs';
import { createSupervisor } from './supervisor.mjs';

/** Hosts drain first, then who leads them, then what both need. */
const stages = /** @type {const} */ ({ host: 1, coordinator: 2, NATS: 3, Redis: 4 });

/**
 * @typedef {{ nats: string, redis: string, namespace: string }} Addresses
 * @typedef {Pick<import('./supervisor.mjs').ProcessPlan, 'name' | 'command' | 'args' | 'graceMs' | 'readyMs'>
 *   & { stage: 1 | 2 }} TroupeProcess
 */
/**
 * @typedef {object} ClusterContext
 * @property {string} root the clone
 * @property {string} runId
 * @property {NodeJS.ProcessEnv} env
 * @property {string} devices what the host offers, as its flag takes it
 * @property {{ natsPort: number | undefined, redisPort: number | undefined }} options
 * @property {import('./setup.mjs').Servers} servers
 * @property {import('./guard-client.mjs').Guard} guard
 * @property {import('./progress.mjs').Progress} progress
 * @property {AbortSignal} signal asks for the end, also in the middle of the start
 * @property {typeof troupeProcesses} [processes] in place of Troupe's own
 */
/**
 * @typedef {object} Cluster
 * @property {() => Promise<Addresses>} start throws SetupFault or Interrupted; `drain` must follow in any case
 * @property {(hurry: AbortSignal) => Promise<void>} drain ends everything in order; `hurry` cuts the grace short
 * @property {(extra: NodeJS.ProcessEnv) => NodeJS.ProcessEnv} childEnv environment of a process of this cluster
 */

/** Name of the local host: one token of a subject. */
export function localHostName(name = hostname()) {
  const token = name.replace(/[^A-Za-z0-9_-]/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return `${token.slice(0, 60) || 'local'}-1`;
}

/**
 * Coordinator and host, in the order of their start.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {string} devices
 * @returns {TroupeProcess[]}
 */
export function troupeProcesses(root, env, devices) {
  return [
    {
      name: 'coordinator',
      command: process.execPath,
      args: [join(root, 'packages/coordinator/bin/troupe-coordinator.js')],
      stage: stages.coordinator,
      graceMs: 10_000,
      readyMs: 30_000,
    },
    {
      name: 'host',
      command: process.execPath,
      args: [
        join(root, 'packages/worker/bin/troupe-worker.js'),
        `--devices=${devices}`,
        `--data=${join(root, '.troupe/data/host-1')}`,
        `--name=${localHostName()}`,
      ],
      stage: stages.host,
      graceMs: drainBoundMs(env) + 5_000,
      // Each GPU is tried first; a driver that was just loaded takes its time.
      readyMs: devices.includes('cuda') ? 120_000 : 30_000,
    },
  ];
}

/**
 * The host's own bound; what is wrong with the setting, the host itself says.
 * @param {NodeJS.ProcessEnv} env
 */
function drainBoundMs(env) {
  return Number(env.TROUPE_DRAIN_BOUND_MS) || 30_000;
}

/**
 * @param {ClusterContext} context
 * @returns {Cluster}
 */
export function createCluster(context) {
  const { root, runId, env, devices, options, servers, guard, progress, signal } = context;
  const dataFolder = join(root, '.troupe/data');
  const logFolder = join(root, '.troupe/logs');
  /** @type {import('./supervisor.mjs').Supervisor[]} */
  const supervisors = [];

  /** @param {NodeJS.ProcessEnv} extra */
  const childEnv = (extra) => {
    const clean = Object.entries(env).filter(([name]) => !/^(npm_|INIT_CWD$|TROUPE_READY_FD$)/.test(name));
    return { ...Object.fromEntries(clean), ...extra, [runIdVariable]: runId };
  };

  /** @param {Omit<import('./supervisor.mjs').ProcessPlan, 'logPath'>} plan */
  async function startOne(plan) {
    if (signal.aborted) throw new Interrupted(String(signal.reason));
    const supervisor = createSupervisor(
      { ...plan, logPath: join(logFolder, `${plan.name.toLowerCase()}.log`) },
      { cwd: root, guard, signal, tell: progress.line },
    );
    supervisors.push(supervisor);
    await progress.step(`Starting ${plan.name}`, () => supervisor.start());
  }

  /**
   * A server of our own. Between the choice of a port and its use, somebody else may take it: then the next one.
   * @param {'NATS' | 'Redis'} name
   * @param {{ flag: string, usual: number, fixed: number | undefined, avoid: number[],
   *   prepare: (port: number) => Pick<import('./supervisor.mjs').ProcessPlan, 'command' | 'args' | 'probe'> &
   *     { env?: NodeJS.ProcessEnv } }} wish
   */
  async function startServer(name, { flag, usual, fixed, avoid, prepare }) {
    for (let attempt = 1; ; attempt += 1) {
      const port = await pickPort({ name, flag, usual, fixed, avoid });
      try {
        const { env: ownEnv = {}, ...plan } = prepare(port);
        await startOne({
          name,
          stage: stages[name],
          graceMs: 10_000,
          readyMs: 60_000, // it may have much to read back
          env: childEnv({ LC_ALL: 'C', ...ownEnv }),
          ...plan,
        });
        return port;
      } catch (error) {
        if (!(error instanceof SetupFault) || fixed !== undefined || attempt >= 5 || (await isPortFree(port)))
          throw error;
        supervisors.pop()?.retire();
      }
    }
  }

  return {
    childEnv,
    async start() {
      mkdirSync(logFolder, { recursive: true });
      mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
      const natsServer = servers['nats-server'];
      const redisServer = servers['redis-server'];
      let nats = env.NATS_URL ?? '';
      let redis = env.REDIS_URL ?? '';
      if (natsServer !== undefined) {
        const port = await startServer('NATS', {
          flag: '--nats-port',
          usual: 4222,
          fixed: options.natsPort,
          avoid: options.redisPort === undefined ? [] : [options.redisPort],
          prepare: (port) =>
            prepareNats({ server: natsServer, port, dataFolder: join(dataFolder, 'nats'), runId, env }),
        });
        nats = `nats://127.0.0.1:${port}`;
      }
      if (redisServer !== undefined) {
        const port = await startServer('Redis', {
          flag: '--redis-port',
          usual: 6379,
          fixed: options.redisPort,
          avoid: [],
          prepare: (port) =>
            prepareRedis({ server: redisServer, port, dataFolder: join(dataFolder, 'redis') }),
        });
        redis = `redis://127.0.0.1:${port}`;
      }
      for (const troupeProcess of (context.processes ?? troupeProcesses)(root, env, devices)) {
        await startOne({ ...troupeProcess, env: childEnv({ NATS_URL: nats, REDIS_URL: redis }) });
      }
      return { nats, redis, namespace: env.TROUPE_NAMESPACE || 'troupe' };
    },
    async drain(hurry) {
      for (const supervisor of supervisors) supervisor.retire();
      const charges = supervisors.flatMap((supervisor) => supervisor.charge() ?? []);
      const names = charges.map((charge) => charge.name).reverse();
      if (names.length === 0) return;
      await progress.step(`Ending ${names.join(', ')}`, (update) =>
        endInOrder(charges, { hurry, onStage: (stage) => update(`Ending ${stage.join(', ')}`) }),
      );
    },
  };
}

/**
 * Writes the addresses for programs in other terminals, whole or not at all. They may hold a password.
 * @param {string} path
 * @param {Addresses & { pid: number }} facts
 */
export function writeClusterFile(path, facts) {
  const whole = `${path}.${process.pid}`;
  writeFileSync(whole, `${JSON.stringify(facts, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(whole, path);
}

/** @param {string} path */
export function removeClusterFile(path) {
  rmSync(path, { force: true });
}
