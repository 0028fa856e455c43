/**
 * A real host process under test, and the leader's part played by the test: registers artifacts, sends commands,
 * submits requests, reads leases.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  defaults,
  EnvName,
  type EventKind,
  type HostCommand,
  type HostCommandReply,
  type HostReport,
  type LeaseStore,
  type ModelVersion,
  type Probation,
  type Signature,
  type TroupeEvent,
  type WorkerReport,
} from '@troupe/shared';
import {
  type ArtifactStore,
  connectNats,
  createArtifactStore,
  createWorkSubmitter,
  declareRecordStreams,
  type NatsLink,
  sendHostCommand,
  type WorkSubmitter,
  watchEvents,
} from '@troupe/shared/nats';
import { connectRedis, createRedisLeaseStore, type RedisConnection } from '@troupe/shared/redis';
import { builtEntry } from '../../../../test/harness/built.js';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { type RedisServer, startRedis } from '../../../../test/harness/redis-server.js';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const mainPath = fileURLToPath(builtEntry(new URL('../../src/host/main.ts', import.meta.url)));

export interface HostUnderTest {
  readonly child: ChildProcess;
  readonly name: string;
  readonly dir: string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stderr(): string;
}

/** Servers, leases and one leader; hosts come and go. */
export class HostHarness {
  nats!: NatsServer;
  redis!: RedisServer;
  link!: NatsLink;
  leases!: LeaseStore;
  submitter!: WorkSubmitter;
  epoch = 0;
  readonly events: TroupeEvent[] = [];
  #redisConnection!: RedisConnection;
  #artifacts!: ArtifactStore;
  readonly #hosts: HostUnderTest[] = [];

  async start(): Promise<void> {
    [this.nats, this.redis] = await Promise.all([startNats(), startRedis()]);
    this.link = await connectNats({ servers: this.nats.url, name: 'test', namespace: 'troupe' });
    await declareRecordStreams(this.link);
    watchEvents(this.link, 'all', (event) => this.events.push(event));
    this.#redisConnection = await connectRedis({ url: this.redis.url, namespace: 'troupe' });
    this.leases = createRedisLeaseStore(this.#redisConnection);
    this.submitter = createWorkSubmitter(this.link);
    this.#artifacts = createArtifactStore(this.link);
    const elected = await this.leases.campaign('test', 3_600_000, 0);
    if (elected.kind !== 'elected') throw new Error('the test is not the leader');
    this.epoch = elected.epoch;
  }

  async stop(): Promise<void> {
    for (const host of this.#hosts.splice(0)) {
      host.child.kill('SIGKILL');
      host.child.kill('SIGCONT');
      await host.exited;
      removeDirectory(host.dir);
    }
    this.submitter.close();
    await this.#artifacts.close();
    await this.link.close();
    await this.leases.close();
    await this.#redisConnection.close();
    await Promise.all([this.nats.stop(), this.redis.stop()]);
  }

  /** Starts a host process; resolves when it says that it is ready, or has ended. */
  async startHost(
    name: string,
    options: { args?: string[]; env?: Record<string, string>; dir?: string } = {},
  ): Promise<HostUnderTest> {
    const dir = options.dir ?? temporaryDirectory('host');
    const child = spawn(
      process.execPath,
      [mainPath, '--name', name, '--data', dir, ...(options.args ?? [])],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        env: {
          ...process.env,
          [EnvName.NatsUrl]: this.nats.url,
          [EnvName.RedisUrl]: this.redis.url,
          [EnvName.ReadyFd]: '3',
          [EnvName.LogLevel]: 'debug',
          ...options.env,
        },
      },
    );
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      // Not 'close': a runner that outlives its host has the host's standard error.
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    const host = { child, name, dir, exited, stderr: () => stderr };
    this.#hosts.push(host);
    const ready = new Promise<void>((resolve) => {
      child.stdio[3]?.once('data', () => resolve());
    });
    await Promise.race([ready, exited]);
    return host;
  }

  /** Puts an artifact into the store; the version's other fields as a trial would have found them. */
  async version(
    number: number,
    artifact: Uint8Array,
    signature: Signature,
    fields: Partial<ModelVersion> = {},
  ): Promise<ModelVersion> {
    const digest = createHash('sha256').update(artifact).digest('hex');
    await this.#artifacts.put(digest, artifact);
    return {
      version: number,
      digest,
      sizeBytes: artifact.length,
      signature,
      batchable: true,
      batching: { maxBatchSize: 32, maxDelayMs: 0 },
      limits: {},
      golden: [],
      registeredAt: '2026-11-01T00:00:00Z',
      ...fields,
    };
  }

  async command(host: string, command: HostCommand, epoch = this.epoch): Promise<HostCommandReply> {
    return sendHostCommand(this.link, host, { epoch, command }, 30_000);
  }

  async report(host: string): Promise<HostReport | undefined> {
    return (await this.leases.listHosts()).find((lease) => lease.host === host)?.report;
  }

  async worker(host: string, version: number, device = 'cpu:0'): Promise<WorkerReport | undefined> {
    const report = await this.report(host);
    return report?.workers.find((worker) => worker.version === version && worker.device === device);
  }

  /** Events come by NATS, in their own time. */
  async untilTold(kind: EventKind): Promise<void> {
    await waitUntil(`${kind} is told`, () => this.events.some((event) => event.kind === kind));
  }

  /** Assigns, activates and waits until it serves. */
  async serve(
    host: string,
    model: string,
    version: ModelVersion,
    device = 'cpu:0',
    probation?: Probation,
  ): Promise<WorkerReport> {
    const assigned = await this.command(host, {
      kind: 'assign',
      assignment: {
        model,
        version,
        device,
        credits: defaults.credits,
        ...(probation === undefined ? {} : { probation }),
      },
    });
    if (!assigned.ok) throw new Error(assigned.error.error);
    await this.command(host, { kind: 'activate', model, version: version.version, device });
    return waitUntil(`${model} ${version.version} serves`, async () => {
      const worker = await this.worker(host, version.version, device);
      return worker?.state === 'serving' && worker.natsConnected ? worker : undefined;
    });
  }

  /** Sends one row of float32 as JSON and resolves with the parsed answer. */
  async infer(
    model: string,
    version: number,
    row: readonly number[],
    options: { input?: string; deadlineMs?: number } = {},
  ): Promise<{ model_version: string; parameters?: Record<string, unknown>; outputs: { data: number[] }[] }> {
    const body = {
      inputs: [{ name: options.input ?? 'input', shape: [1, row.length], datatype: 'FP32', data: row }],
    };
    const answer = await this.submitter.submit({
      model,
      version,
      requestId: randomUUID(),
      deadlineMs: options.deadlineMs ?? 60_000,
      message: { payload: new TextEncoder().encode(JSON.stringify(body)), jsonLength: undefined },
    });
    return JSON.parse(new TextDecoder().decode(answer?.payload)) as never;
  }
}

/** Pids of the runners that a host's data folder lists. */
export function recordedRunners(dir: string): number[] {
  try {
    const records = JSON.parse(readFileSync(join(dir, 'runners.json'), 'utf8')) as { pid: number }[];
    return records.map(({ pid }) => pid);
  } catch {
    return [];
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}
